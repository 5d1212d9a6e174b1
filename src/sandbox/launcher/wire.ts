// What the edge and the launcher say to each other over launcher.sock: one JSON object a line. Frames of guests do not
// pass here: those go over a socket of their own (channels.sock) from the edge straight to the sandbox.
// Invariant: a line is at most LINE_BYTES_MAX long, so neither side can make the other grow.
// Callers: client.ts (in the edge), service.ts (in the launcher).
import type { ErrorCode } from '../../protocol/errors.ts';
import type { RuntimeName } from '../../protocol/settings.ts';
import type { Assignment, SandboxControls, NodeSandboxStatus, SandboxExit, SandboxSpec } from '../sandbox.ts';

export type ToLauncher =
  | { op: 'start'; spec: SandboxSpec; assignment: Assignment | null }
  | { op: 'assign'; id: string; assignment: Assignment }
  /** For these two see Sandboxes in sandbox.ts; they have no answer. */
  | { op: 'prepare'; artifact: string; runtime: RuntimeName }
  | { op: 'discardCompiled'; artifact: string; runtime: RuntimeName }
  | { op: 'promote'; id: string }
  | { op: 'kill'; id: string };

export type FromLauncher =
  /** The first line on a connection. */
  | { op: 'hello'; status: NodeSandboxStatus }
  | { op: 'started'; id: string; pid: number; codeFolder: string | null; compiledFolder: string | null; controls: SandboxControls }
  /** Answers `assign`; a failed one is answered by `refused`. */
  | { op: 'assigned'; id: string; codeFolder: string; compiledFolder: string | null }
  | { op: 'refused'; id: string; code: ErrorCode; message: string }
  /** Nothing of it is left. Follows every `started`, killed or not. */
  | { op: 'exited'; id: string; exit: SandboxExit }
  /** Raw stdout and stderr. */
  | { op: 'output'; id: string; text: string }
  /** What the platform has to tell the function, e.g. of connections that were refused. */
  | { op: 'log'; id: string; level: 'info' | 'warn'; text: string };

/** Room for 64 KiB of output in which every byte needs an escape of six. */
export const LINE_BYTES_MAX = 512 * 1024;

export const LAUNCHER_SOCKET = 'launcher.sock';
export const CHANNELS_SOCKET = 'channels.sock';

export function encodeLine(message: ToLauncher | FromLauncher): string {
  return `${JSON.stringify(message)}\n`;
}

/** Cuts bytes into lines. `push` throws RangeError on a line that is too long, SyntaxError on one that is no JSON. */
export class LineReader<Message> {
  #rest: Buffer[] = [];
  #restBytes = 0;

  *push(chunk: Buffer): Generator<Message> {
    let from = 0;
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, from)) {
      const line = Buffer.concat([...this.#rest, chunk.subarray(from, end)]);
      this.#rest = [];
      this.#restBytes = 0;
      from = end + 1;
      yield JSON.parse(line.toString('utf8')) as Message;
    }
    if (from === chunk.length) return;
    this.#rest.push(chunk.subarray(from));
    this.#restBytes += chunk.length - from;
    if (this.#restBytes > LINE_BYTES_MAX) throw new RangeError(`a line of more than ${LINE_BYTES_MAX} bytes`);
  }
}
