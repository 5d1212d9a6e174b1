// The errors that a function's own doing brings about, worded for the person who wrote it: what happened, with the
// value and the setting to change. Called by instance.ts and version-pool.ts.
import { VirgaError } from '../protocol/errors.ts';
import type { GuestError } from '../protocol/frames.ts';
import type { SandboxExit } from '../sandbox/sandbox.ts';
import type { DeployedVersion } from './version.ts';
import { nameOf } from './version.ts';

/** A guest's error frame. Throws SyntaxError when it is malformed. */
export function readGuestError(payload: Buffer): GuestError {
  const error = JSON.parse(payload.toString()) as Partial<GuestError>;
  return { name: String(error.name ?? 'Error'), message: String(error.message ?? ''), stack: String(error.stack ?? '') };
}

export function timeoutError(version: DeployedVersion): VirgaError {
  const { timeoutMs } = version.settings;
  return new VirgaError(
    'function_timeout',
    `${nameOf(version)} did not answer within its timeout of ${duration(timeoutMs)}; its instance was ended. Raise \`timeout\` in virga.yaml if it needs longer`,
  );
}

export function loadError(version: DeployedVersion, error: GuestError): VirgaError {
  return new VirgaError('function_load_failed', `${nameOf(version)} could not be loaded: ${error.name}: ${error.message}`.slice(0, 2000), {
    detail: { name: error.name, message: error.message.slice(0, 4000), stack: error.stack.slice(0, 8000) },
  });
}

/** What the end of a sandbox means for the calls that it took along. */
export function exitError(version: DeployedVersion, exit: SandboxExit, options: { starting: boolean }): VirgaError {
  if (exit.outOfMemory) {
    return new VirgaError(
      'function_out_of_memory',
      `${nameOf(version)} was killed at its ${version.settings.memoryMiB} MiB memory limit; raise \`memory\` in virga.yaml`,
    );
  }
  const how = exit.signal !== null ? `was ended by ${exit.signal}` : `exited with code ${exit.code ?? 'unknown'}`;
  const words = exit.stderrTail.trim().slice(-500);
  const tail = words === '' ? '' : `; its last words: ${words}`;
  if (options.starting) {
    return new VirgaError('function_load_failed', `${nameOf(version)} could not be loaded: its process ${how}${tail}`, {
      detail: { stack: words },
    });
  }
  // What it wrote last may hold secrets of the function: it goes into the logs, not to the client.
  return new VirgaError(
    'function_crashed',
    `${nameOf(version)} crashed: its process ${how} during the call; see virga logs ${version.function}`,
    { cause: `process ${how}${tail}` },
  );
}

const CRASH_SIGNALS = new Set(['SIGSEGV', 'SIGBUS', 'SIGILL', 'SIGABRT', 'SIGTRAP']);

/** The process itself broke: not its code's doing by a throw, an exit or a limit. */
export function crashed(exit: SandboxExit | undefined): boolean {
  return exit !== undefined && !exit.outOfMemory && exit.signal !== null && CRASH_SIGNALS.has(exit.signal);
}

export function overloadError(version: DeployedVersion, retryAfterS: number): VirgaError {
  return new VirgaError(
    'function_overloaded',
    `${nameOf(version)} is busy and ${version.settings.queue} calls wait already; try again later, or raise \`queue\` or \`instances.max\` (${version.settings.instances.max}) in virga.yaml`,
    { retryAfterS },
  );
}

/** Its queue stood for a while and grew: what is accepted now would be answered too late. */
export function floodedError(version: DeployedVersion, retryAfterS: number): VirgaError {
  return new VirgaError(
    'function_overloaded',
    `more calls of ${nameOf(version)} come than it can serve; try again later, or raise \`instances.max\` (${version.settings.instances.max}) or \`concurrency\` in virga.yaml if the node has processors to spare`,
    { retryAfterS },
  );
}

export function waitedTooLongError(version: DeployedVersion, waitedMs: number, retryAfterS: number): VirgaError {
  return new VirgaError(
    'function_overloaded',
    `no instance of ${nameOf(version)} was free for ${duration(waitedMs)}; try again later, or raise \`instances.max\` or \`concurrency\` in virga.yaml`,
    { retryAfterS },
  );
}

function duration(ms: number): string {
  return ms >= 1000 ? `${Math.round(ms / 100) / 10} s` : `${Math.round(ms)} ms`;
}
