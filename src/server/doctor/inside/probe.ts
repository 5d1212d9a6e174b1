// The program that `virga doctor` runs inside sandboxes: makes the attacks that it is told to make, one after the other,
// and says of each on stdout what became of it, a JSON object a line. Invariant: one that fails in an unforeseen way is
// told as such and does not keep the others from being made. Started by trial.ts, which names it by its path.
//   probe.ts '{"task":"attack",…}'
import { createServer } from 'node:net';
import { codeOf } from './attack.ts';
import type { Attack, Outcome } from './attack.ts';
import { hostAttacks } from './host.ts';
import type { Targets } from './host.ts';
import { KERNEL_ATTACKS } from './kernel.ts';
import { limitAttacks } from './limits.ts';
import type { Excess } from './limits.ts';

export type Task =
  /** Everything that tries to get out. */
  | { task: 'attack'; targets: Targets }
  /** One that tries to use too much. */
  | { task: 'exceed'; attack: string; excess: Excess }
  /** Listens until it is ended: the sandbox that the others try to reach. */
  | { task: 'listen' };

/** A line of its output. `listening` answers `listen` with the port, in `detail`. */
export interface Said extends Outcome {
  attack: string;
}

const task = JSON.parse(process.argv[2]!) as Task;
if (task.task === 'listen') {
  const server = createServer((socket) => socket.on('error', () => {}).end('a neighbour')).listen(0, () => {
    say({ attack: 'listening', through: false, detail: String((server.address() as { port: number }).port) });
  });
} else if (task.task === 'exceed') {
  say({ attack: 'begun', through: false, detail: task.attack });
  await make(task.attack, limitAttacks(task.excess)[task.attack]!);
  process.exit(0);
} else {
  // The kernel's come last: what they leave in this process, should they succeed, would change how the others end.
  for (const [name, attack] of Object.entries({ ...hostAttacks(task.targets), ...KERNEL_ATTACKS })) await make(name, attack);
  process.exit(0);
}

async function make(name: string, attack: Attack): Promise<void> {
  try {
    say({ attack: name, ...(await attack()) });
  } catch (error) {
    say({ attack: name, through: true, detail: `it failed in a way that proves nothing: ${codeOf(error)}` });
  }
}

function say(said: Said): void {
  process.stdout.write(`${JSON.stringify(said)}\n`);
}
