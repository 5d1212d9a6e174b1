// The errors that a function's own doing brings about, worded for the person who wrote it: what happened, with the value
// and the setting to change. The message is short and goes to the caller; its explanation goes into the record.
// Invariant: what a function printed is in explanations alone. Called by instance.ts, handshake.ts and version-pool.ts.
import { VirgaError } from '../protocol/errors.ts';
import { LOG_LINE_MAX } from '../protocol/frames.ts';
import type { Explanation } from '../protocol/explanation.ts';
import type { GuestError } from '../protocol/frames.ts';
import type { SandboxExit } from '../sandbox/sandbox.ts';
import type { DeployedVersion } from './version.ts';
import { nameOf } from './version.ts';

export function readGuestError(payload: Buffer): GuestError {
  const error = JSON.parse(payload.toString()) as Partial<GuestError>;
  const text = (value: unknown, instead: string): string => (typeof value === 'string' ? value.slice(0, LOG_LINE_MAX) : instead);
  return { name: text(error.name, 'Error'), message: text(error.message, ''), stack: text(error.stack, '') };
}

/** What the engine knows of an instance when it must explain it. */
export interface Seen {
  /** How long the call ran; null: it is not about one call. */
  ranMs: number | null;
  /** As the guest told it; 0: nothing yet. */
  peakMemoryBytes: number;
  cpu: Explanation['cpu'];
  /** Calls that were running in the instance. */
  calls: number;
  lastLines: string[];
}

/** Of the CPUs it may use: above it is busy, below it waits. */
const BUSY_SHARE = 0.6;
const WAITING_SHARE = 0.1;
const MIB = 1024 * 1024;

/** `upgraded`: of a connection of another protocol, which had been answered long ago. */
export function timeoutError(version: DeployedVersion, seen: Seen, upgraded: boolean): VirgaError {
  const { timeoutMs } = version.settings;
  const limit = duration(timeoutMs);
  if (upgraded) {
    const message = `the connection to ${nameOf(version)} was closed at its timeout of ${limit}; raise \`timeout\` in virga.yaml if connections may last longer`;
    return new VirgaError('function_timeout', message);
  }
  const facts = [`the call was given up after its timeout of ${limit}, and the instance ended`, ...cpuFacts(version, seen)];
  return new VirgaError(
    'function_timeout',
    `${nameOf(version)} did not answer within its timeout of ${limit}${wordOnCpu(version, seen)}; its instance was ended. Raise \`timeout\` in virga.yaml if it needs longer`,
    { explanation: explanation(seen, { cause: 'timeout', limit, setting: 'timeout', facts }) },
  );
}

export function loadError(version: DeployedVersion, error: GuestError, seen: Seen): VirgaError {
  const text = `${error.name}: ${error.message}`;
  const hint = limitHint(version, text);
  const advice = hint === null ? '' : `; ${hint.advice}`;
  return new VirgaError('function_load_failed', `${nameOf(version)} could not be loaded: ${text}`.slice(0, 2000) + advice, {
    detail: { name: error.name, message: error.message.slice(0, 4000), stack: error.stack.slice(0, 8000) },
    ...(hint === null ? {} : { explanation: explanation(seen, hint.part) }),
  });
}

/** What a handler threw, or answered that is no response. */
export function answerError(version: DeployedVersion, error: GuestError, seen: Seen): VirgaError {
  const what = `${error.name}: ${error.message}`.slice(0, 1000);
  if (error.name === 'BadResponse') {
    const message = `${nameOf(version)} gave an answer that is not a response: ${error.message.slice(0, 500)}`;
    return new VirgaError('function_bad_response', message, { cause: what });
  }
  if (error.name === 'EventRefused')
    return new VirgaError('function_error', `${nameOf(version)} failed: ${error.message.slice(0, 200)}`, { cause: what });
  const hint = limitHint(version, what);
  const advice = hint === null ? '' : `; ${hint.advice}`;
  return new VirgaError(
    'function_error',
    `${nameOf(version)} threw an error; its stack is in the logs (virga logs ${version.function})${advice}`,
    { cause: what + advice, ...(hint === null ? {} : { explanation: explanation(seen, hint.part) }) },
  );
}

export function bootLateError(version: DeployedVersion, timeoutMs: number, seen: Seen): VirgaError {
  const limit = duration(timeoutMs);
  const facts = [`its runtime had not booted ${limit} after its sandbox was started, so that was ended`];
  return new VirgaError(
    'sandbox_unavailable',
    `a sandbox for ${nameOf(version)} did not boot within ${limit}; the machine may be overloaded (the node's limit is VIRGA_LIMIT_BOOT_TIMEOUT_MS)`,
    { explanation: explanation(seen, { cause: 'boot', limit, facts }) },
  );
}

export function loadLateError(version: DeployedVersion, timeoutMs: number, seen: Seen): VirgaError {
  const limit = duration(timeoutMs);
  const facts = [
    `its code was still being loaded after ${limit}, so its sandbox was ended (the node's limit is VIRGA_LIMIT_LOAD_TIMEOUT_MS)`,
  ];
  return new VirgaError(
    'function_load_failed',
    `${nameOf(version)} did not finish loading within ${limit}; move slow work out of the module's top level`,
    { explanation: explanation(seen, { cause: 'load', limit, facts }) },
  );
}

export function protocolError(version: DeployedVersion, message: string, seen: Seen): VirgaError {
  const facts = [`its runtime sent Virga ${message}, so the instance was ended`, 'code that writes to file descriptor 3 breaks it'];
  return new VirgaError('function_crashed', `${nameOf(version)} broke the protocol between its runtime and Virga: ${message}`, {
    explanation: explanation(seen, { cause: 'protocol', facts }),
  });
}

/** What the end of a sandbox means for a call that it took along, or for its start. */
export function exitError(version: DeployedVersion, exit: SandboxExit, { starting, seen }: { starting: boolean; seen: Seen }): VirgaError {
  if (exit.lost) {
    const facts = ['the launcher of this node ended and its sandboxes with it; it is being restarted'];
    const message = `${nameOf(version)} was interrupted: ${facts[0]}`;
    // One that had not begun a call is tried again (starts.ts).
    return new VirgaError(starting ? 'sandbox_unavailable' : 'unavailable', message, {
      explanation: explanation(seen, { cause: 'exit', facts }),
    });
  }
  if (exit.outOfMemory) return outOfMemoryError(version, exit, { starting, seen });
  const how = exit.signal !== null ? `was ended by ${exit.signal}` : `exited with code ${exit.code ?? 'unknown'}`;
  const words = exit.stderrTail.trim().slice(-500);
  const tail = words === '' ? '' : `; its last words: ${words}`;
  const { pids } = version.settings;
  const refused = exit.usage.pidsRefused ?? 0;
  const after =
    refused === 0
      ? ''
      : `, after it was refused ${refused} more processes or threads at its limit of ${pids}; raise \`pids\` in virga.yaml`;
  const facts = [`its process ${how}${after}`, ...(words === '' ? [] : [`its last words on stderr: ${words}`])];
  const reason = explanation(
    seen,
    refused === 0 ? { cause: 'exit', facts } : { cause: 'pids', limit: `${pids} processes and threads`, setting: 'pids', facts },
    exit,
  );
  if (starting && exit.signal === 'SIGKILL' && refused === 0) {
    // Nobody but the machine's operator kills with this: nothing is known against the code, and no call has begun.
    return new VirgaError('sandbox_unavailable', `${nameOf(version)} could not be loaded: its process ${how}${tail}`, {
      explanation: reason,
    });
  }
  if (starting) {
    return new VirgaError('function_load_failed', `${nameOf(version)} could not be loaded: its process ${how}${after}${tail}`, {
      detail: { stack: words },
      explanation: reason,
    });
  }
  // What it wrote last may hold secrets of the function: it goes into the logs, not to the client.
  return new VirgaError(
    'function_crashed',
    `${nameOf(version)} crashed: its process ${how} during the call${after}; see virga logs ${version.function}`,
    { cause: `process ${how}${after}${tail}`, explanation: reason },
  );
}

function outOfMemoryError(version: DeployedVersion, exit: SandboxExit, { starting, seen }: { starting: boolean; seen: Seen }): VirgaError {
  const limit = `${version.settings.memoryMiB} MiB`;
  const peak = peakOf(seen, exit);
  const when = starting ? ' while it was loaded' : seen.ranMs === null ? '' : ` after ${duration(seen.ranMs)}`;
  const by = {
    kernel: `the kernel killed it at its memory limit of ${limit}`,
    watcher: `it was ended above its memory limit of ${limit}, which is watched ten times a second on this node`,
    heap: `its JavaScript heap was full: the heap gets about three quarters of the ${limit} of the sandbox`,
  };
  const facts = [`${by[exit.usage.memoryLimitOf ?? 'kernel']}${when}`];
  if (exit.usage.peakMemoryBytes !== null)
    facts.push(`the sandbox held ${mebibytes(exit.usage.peakMemoryBytes)} at its peak: memory, files in /tmp, and cached pages of files`);
  if (seen.calls > 1) facts.push(`${seen.calls} calls ran in the instance and shared its memory (\`concurrency\`)`);
  const peakText = peak === null ? '' : ` (peak ${mebibytes(peak)})`;
  return new VirgaError(
    'function_out_of_memory',
    `${nameOf(version)} was killed at its ${limit} memory limit${when}${peakText}; raise \`memory\` in virga.yaml`,
    { explanation: explanation(seen, { cause: 'memory', limit, setting: 'memory', facts }, exit) },
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

/** It has no instance that could be busy, and got none: nothing is known against the function. */
export function noInstanceError(
  version: DeployedVersion,
  waitedMs: number,
  { starting, retryAfterS }: { starting: boolean; retryAfterS: number },
): VirgaError {
  const why = starting
    ? 'one is still being started, and the machine may be overloaded'
    : 'this node has no room for one more, or starts as many as it may (VIRGA_LIMIT_SANDBOX_MEMORY_MIB, VIRGA_LIMIT_SANDBOXES, VIRGA_LIMIT_STARTS_IN_FLIGHT)';
  return new VirgaError('sandbox_unavailable', `${nameOf(version)} got no instance within ${duration(waitedMs)}: ${why}; try again later`, {
    retryAfterS,
  });
}

export function stoppingError(): VirgaError {
  return new VirgaError('unavailable', 'Virga is stopping; try again in a moment');
}

/** For the log of the function: the message and what the explanation adds. */
export function logTextOf(error: VirgaError): string {
  const detail = error.detail as { stack?: string } | undefined;
  const stack = detail?.stack === undefined || detail.stack === '' ? [] : [detail.stack];
  return [error.message, ...(error.explanation?.facts ?? []), ...stack].join('\n');
}

/** Errors of a function that are those of a limit: the texts are Node's and Python's for ENOSPC and EAGAIN. */
function limitHint(version: DeployedVersion, text: string): { advice: string; part: Part } | null {
  const { tmpMiB, pids } = version.settings;
  if (/\bENOSPC\b|No space left on device/.test(text)) {
    const limit = `${tmpMiB} MiB`;
    const fact = `its /tmp, the only place it can write to, holds ${limit}`;
    return { advice: `${fact}; raise \`tmp\` in virga.yaml`, part: { cause: 'tmp', limit, setting: 'tmp', facts: [fact] } };
  }
  if (/\bspawn\b.*\bEAGAIN\b|\bfork\b.*\bEAGAIN\b|BlockingIOError: \[Errno 11\]|can't start new thread|ERR_WORKER_INIT_FAILED/.test(text)) {
    const fact = `it may have ${pids} processes and threads, those of its runtime included`;
    const part: Part = { cause: 'pids', limit: `${pids} processes and threads`, setting: 'pids', facts: [fact] };
    return { advice: `${fact}; raise \`pids\` in virga.yaml`, part };
  }
  return null;
}

type Part = Pick<Explanation, 'cause' | 'facts'> & Partial<Pick<Explanation, 'limit' | 'setting'>>;

function explanation(seen: Seen, part: Part, exit?: SandboxExit): Explanation {
  const { cause, limit = null, setting = null, facts } = part;
  return { cause, limit, setting, facts, peakMemoryBytes: peakOf(seen, exit), cpu: seen.cpu, lastLines: seen.lastLines };
}

function peakOf(seen: Seen, exit?: SandboxExit): number | null {
  const peak = Math.max(seen.peakMemoryBytes, exit?.usage.peakMemoryBytes ?? 0);
  return peak === 0 ? null : peak;
}

/** How much of the time it had something to compute, of the time for which it may. */
function cpuShare(version: DeployedVersion, cpu: NonNullable<Explanation['cpu']>): number {
  return (cpu.ms + cpu.queuedMs) / cpu.windowMs / Math.min(1, version.settings.cpus ?? 1);
}

function wordOnCpu(version: DeployedVersion, { cpu }: Seen): string {
  if (cpu === null) return '';
  const share = cpuShare(version, cpu);
  return share >= BUSY_SHARE ? ' (busy on the CPU)' : share <= WAITING_SHARE ? ' (waiting, not computing)' : '';
}

function cpuFacts(version: DeployedVersion, { cpu, calls }: Seen): string[] {
  if (cpu === null) return [];
  const { cpus } = version.settings;
  const share = cpuShare(version, cpu);
  const what =
    share >= BUSY_SHARE
      ? 'it was busy on the CPU'
      : share <= WAITING_SHARE
        ? 'it was waiting (for a timer, a lock, the network) and not computing'
        : 'it computed part of the time';
  const queued = cpu.queuedMs < cpu.windowMs / 10 ? '' : ` and stood in line for a CPU for ${Math.round(cpu.queuedMs)} ms`;
  const facts = [`${what}: its instance used ${Math.round(cpu.ms)} ms of CPU${queued} in the last ${Math.round(cpu.windowMs)} ms`];
  if (share >= BUSY_SHARE && cpus !== null && cpus < 1)
    facts.push(`it is held to ${cpus} CPUs; raise \`cpus\` in virga.yaml to let it go faster`);
  if (calls > 1) facts.push(`${calls} calls ran in the instance at once`);
  return facts;
}

function mebibytes(bytes: number): string {
  return `${Math.round(bytes / MIB)} MiB`;
}

function duration(ms: number): string {
  return ms >= 1000 ? `${Math.round(ms / 100) / 10} s` : `${Math.round(ms)} ms`;
}
