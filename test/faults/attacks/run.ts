// Runs one attack of a table and answers with its outcome. The entry of a deployed attacker, and the program that
// hostile-kernel.test.ts runs outside of a sandbox: `run.ts NAME`.
import { ATTACKS } from './kernel.ts';

export function outcomeOf(name: string): string {
  try {
    return String(ATTACKS[name]!.run());
  } catch (error) {
    return String((error as NodeJS.ErrnoException).code ?? error);
  }
}

export default {
  fetch: (_: Request, context: { params: { name: string } }) => new Response(outcomeOf(context.params.name)),
};

if (import.meta.main) process.stdout.write(outcomeOf(process.argv[2]!));
