// What a command ends with when it does not succeed: the exit status and the words. Invariant: 2 means that the command
// was used wrongly and nothing was tried; 1 that the operation or the function failed. Used by command-line.ts.
import type { Terminal } from './terminal.ts';

/** Wrong usage: exit 2. */
export class UsageError extends Error {
  readonly code = 'usage';
}

/** The operation failed for a reason of this machine: exit 1. */
export class CommandError extends Error {
  readonly code = 'failed';
}

interface Failure {
  code?: unknown;
  message: string;
  requestId?: string;
  fault?: string;
  detail?: unknown;
  stack?: string;
}

/** Prints the failure and gives the exit status. */
export function reportFailure(thrown: unknown, terminal: Terminal, commandName: string): number {
  const error: Failure = thrown instanceof Error ? thrown : new Error(String(thrown));
  const usage = error.code === 'usage';
  if (terminal.json) {
    terminal.error(
      JSON.stringify({ error: { code: error.code ?? 'failed', message: error.message, requestId: error.requestId, detail: error.detail } }),
    );
    return usage ? 2 : 1;
  }
  const label = terminal.paintError(['red', 'bold'], 'error:');
  const problems = manifestProblems(error);
  if (problems !== undefined) {
    const { file, list } = problems;
    for (const problem of list) {
      const place = terminal.paintError('bold', `${file}:${problem.line}:${problem.column}:`);
      terminal.error(`${place} ${problem.message}`);
      if (terminal.errIsTerminal) terminal.error(terminal.paintError('dim', `  ${problem.excerpt.join('\n  ')}`));
    }
    terminal.error(`${label} ${file} has ${list.length === 1 ? 'a problem' : `${list.length} problems`}; nothing was changed`);
    return 1;
  }
  terminal.error(`${label} ${error.message}`);
  for (const line of requestProblems(error)) terminal.error(`  ${line}`);
  if (usage) terminal.error(`See \`virga ${commandName === '' ? '' : `${commandName} `}--help\`.`);
  if (error.fault === 'platform' && error.requestId)
    terminal.error(terminal.paintError('dim', `The platform's log has it under ${error.requestId}.`));
  // Something unforeseen: the stack is what helps.
  if (typeof error.code !== 'string' && error.stack !== undefined)
    terminal.error(terminal.paintError('dim', error.stack.split('\n').slice(1).join('\n')));
  return usage ? 2 : 1;
}

interface PlacedProblem {
  line: number;
  column: number;
  message: string;
  excerpt: string[];
}

function manifestProblems(error: Failure): { file: string; list: PlacedProblem[] } | undefined {
  const detail = error.detail as { file?: unknown; problems?: unknown } | null | undefined;
  if (error.code !== 'invalid_manifest' || typeof detail?.file !== 'string' || !Array.isArray(detail.problems)) return undefined;
  return { file: detail.file, list: detail.problems as PlacedProblem[] };
}

/** The server's list of problems, when there is more than the message says. */
function requestProblems(error: Failure): string[] {
  if (!Array.isArray(error.detail) || error.detail.length < 2) return [];
  return error.detail.flatMap((problem: { path?: unknown; message?: unknown } | null) =>
    typeof problem?.message === 'string'
      ? [typeof problem.path === 'string' && problem.path !== '' ? `${problem.path}: ${problem.message}` : problem.message]
      : [],
  );
}
