// The runtime `provided`: a program of the author's own (`bootstrap`) which fetches its invocations from AWS Lambda's Runtime
// API. The guest serves that API on loopback, starts the program, and hands on what the engine sends.
//
//   INIT ──▶ bootstrap found, API open, program started ──first `next`──▶ READY ──REQUEST──▶ next … response ──▶ answer
//                 └─ not found, or it ends, or init/error ──▶ FAILED         └─ it ends: so does the guest, with its exit code
//
// Invariant: a program that ends takes the instance with it, and the calls in it fail with its exit code. Registered in forms.ts.
import type { GuestError, InitPayload } from '../../../../protocol/frames.ts';
import { LoadError } from '../../failure.ts';
import { exitNow } from '../../last-words.ts';
import type { Loaded, Target } from '../../load.ts';
import type { FormHost } from '../form.ts';
import { dropOutputPipes, outputPipes, prepareOutputPipes } from '../program/output-pipes.ts';
import { exitCodeOf, howItEnded, Program } from '../program/program.ts';
import type { ProgramEnd } from '../program/program.ts';
import { lambdaIdentity } from '../lambda/environment.ts';
import { extensionsNotStarted } from '../lambda/extensions.ts';
import { Assignments } from './assignments.ts';
import { findBootstrap } from './bootstrap.ts';
import { assignmentOf, programEnvironment } from './lambda-shapes.ts';
import { rehearseCall } from './rehearsed-call.ts';
import { RuntimeApi } from './runtime-api.ts';

const REQUEST_ID = /[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}/;

/** A call with a client of our own, and what the program will need before it can start. */
export function rehearsed(init: InitPayload): Target {
  prepareOutputPipes();
  return { serve: (invocation) => rehearseCall(init, invocation) };
}

export function release(): void {
  dropOutputPipes();
}

export async function load(init: InitPayload, { log, memory }: FormHost): Promise<Loaded> {
  const startedAt = performance.now();
  const pipes = outputPipes();
  const identity = lambdaIdentity(init);
  const assignments = new Assignments(init.concurrency);
  const begun = Promise.withResolvers<void>();
  // It may fail before anybody waits for it.
  begun.promise.catch(() => {});
  let state: 'starting' | 'begun' | 'stopping' = 'starting';
  const api = await RuntimeApi.listen({
    assignments,
    httpEvent: init.httpEvent,
    begun: begun.resolve,
    initFailed: (error) => begun.reject(toThrow(error)),
    answered: () => program.endLines(),
    unknown: (call) =>
      log.write(0, 'warn', `the program called ${call}: Virga serves AWS Lambda's Runtime API 2018-06-01 and nothing else`),
  });
  const env = programEnvironment(init, identity, api.address);
  const taskRoot = env['LAMBDA_TASK_ROOT']!;
  const path = findBootstrap(taskRoot, env['PATH']!);
  const notStarted = extensionsNotStarted(init.codeFolder);
  if (notStarted !== undefined) log.write(0, 'warn', notStarted);
  const loadedAt = performance.now();
  const program = await Program.start({
    command: [path],
    env,
    cwd: taskRoot,
    pipes,
    onLine: (level, line) => log.write(streamOf(line, assignments), level, line),
  });
  memory.include(program.pid);
  void program.ended.then((end) => {
    if (state === 'begun') endWith(end);
    else begun.reject(new LoadError(endedEarly(end, program.lastLines)));
  });

  function endWith(end: ProgramEnd): void {
    for (const { invocation } of assignments.open)
      log.write(invocation.stream, 'error', `the program ${howItEnded(end)} before it had answered; its instance ends`);
    exitNow(exitCodeOf(end));
  }

  await begun.promise;
  state = 'begun';
  return {
    target: {
      serve: async (invocation) => assignments.give(await assignmentOf(invocation, identity, init.httpEvent)),
      stop: () => {
        state = 'stopping';
        return program.stop();
      },
    },
    ready: { loadMs: micros(loadedAt - startedAt), initMs: micros(performance.now() - loadedAt), exports: ['serve'] },
  };
}

/** With several calls at once a line is that one's whose id it has, as in the records that AWS's own runtimes write then. */
function streamOf(line: string, assignments: Assignments): number {
  if (assignments.speaking !== 0) return assignments.speaking;
  const [id = ''] = REQUEST_ID.exec(line) ?? [];
  return assignments.get(id)?.invocation.stream ?? 0;
}

function endedEarly(end: ProgramEnd, lastLines: string): string {
  const words = lastLines === '' ? 'it wrote nothing' : `its last words: ${lastLines}`;
  return `bootstrap ${howItEnded(end)} before it asked for an invocation (GET /2018-06-01/runtime/invocation/next); ${words}`;
}

/** What a program told of its failure, as if it had been thrown here. */
function toThrow({ name, message, stack }: GuestError): Error {
  const error = new Error(message);
  Object.defineProperties(error, { name: { value: name }, stack: { value: stack } });
  return error;
}

function micros(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
