// Any program that serves HTTP on $PORT (Cloud Run's contract), beside the guest in its sandbox:
//
//   start the program ──▶ its port accepts ──▶ READY ──▶ each invocation is a request to it ──STOP──▶ SIGTERM, its end, ours
//          └─ends, or does not listen in time──▶ a load error that says so       └─ends by itself: the instance ends as it did
//
// Invariant: an instance lives as long as its program; what the program writes are log records. Where to look: start-command.ts
// (what is started), port.ts (is it ready), proxy.ts and connection.ts (requests), program-request.ts and cloud-event.ts (what
// it is asked), ../program/ (its process). A form of forms.ts, loaded by guest.ts.
import type { InitPayload, ReadyPayload } from '../../../../protocol/frames.ts';
import { useCompiledCode, COMPILED_LINKS } from '../../compiled-code.ts';
import type { Context } from '../../context.ts';
import { LoadError } from '../../failure.ts';
import type { Invocation } from '../../invocation.ts';
import { exitNow } from '../../last-words.ts';
import type { Loaded, Target } from '../../load.ts';
import type { FormHost } from '../form.ts';
import { Program, exitCodeOf, howItEnded } from '../program/program.ts';
import type { ProgramEnd } from '../program/program.ts';
import { Connections } from './connections.ts';
import { LineOwner } from './line-owner.ts';
import { accepting, freePort, listeningPorts } from './port.ts';
import { eventRequest, httpRequest } from './program-request.ts';
import { passOn } from './proxy.ts';
import { shownCommand, startCommand } from './start-command.ts';

/** Before the host gives up by itself, and says less. */
const LOAD_SHARE = 0.9;
const LOAD_MS_DEFAULT = 30_000;
/** Where every sandbox has its code. There, the network is its own as well. */
const SANDBOX_CODE = '/code';

export async function load(init: InitPayload, host: FormHost): Promise<Loaded> {
  const beganMs = performance.now();
  const untilMs = beganMs + (init.loadTimeoutMs ?? LOAD_MS_DEFAULT) * LOAD_SHARE;
  const sandboxed = init.codeFolder === SANDBOX_CODE;
  const port = await freePort(init.env['PORT'], sandboxed);
  if (init.compiledFolder !== undefined) useCompiledCode(init.compiledFolder);
  const compiledAt = init.compiledFolder === undefined ? undefined : COMPILED_LINKS;
  const { command, env } = startCommand(init, { port, path: host.path, compiledAt });
  const owner = new LineOwner();
  const program = await Program.start({
    command,
    env,
    cwd: init.codeFolder,
    sockets: init.command === undefined,
    onLine: (level, line) => host.log.write(owner.stream, level, line),
  });
  const startedMs = performance.now();
  const address = await ready(program, port, { untilMs, name: shownCommand(command, init.codeFolder), sandboxed });
  host.memory.include(program.pid);
  let stopping = false;
  void program.ended.then((end) => {
    if (!stopping) giveUp(end, host);
  });
  const connections = new Connections({ host: address, port });
  const parts = { connections, ended: program.ended };
  const serve = async (invocation: Invocation, context: Context): Promise<void> => {
    const { meta, stream, body } = invocation;
    owner.began(stream);
    try {
      const request =
        meta.kind === 'http' ? httpRequest(meta, invocation, context.function) : eventRequest(meta, await body.readAll(), context.function);
      await passOn(invocation, request, parts);
    } finally {
      owner.ended(stream);
    }
  };
  const stop = async (): Promise<void> => {
    stopping = true;
    connections.close();
    await program.stop();
  };
  const target: Target = { serve, stop };
  const times: Pick<ReadyPayload, 'loadMs' | 'initMs'> = { loadMs: startedMs - beganMs, initMs: performance.now() - startedMs };
  return { target, ready: { ...times, exports: ['serve'] } };
}

/** Where it listens, or why it does not. */
async function ready(program: Program, port: number, at: { untilMs: number; name: string; sandboxed: boolean }): Promise<string> {
  const over = new AbortController();
  const ended = program.ended.then((end) => {
    over.abort();
    return end;
  });
  const listens = accepting(port, at.untilMs, over.signal);
  const first = await Promise.race([ended, listens]);
  if (typeof first === 'string') return first;
  const said = program.lastLines === '' ? ' It wrote nothing.' : ` It wrote last:\n${program.lastLines}`;
  if (first !== undefined) {
    // Nobody but the kernel at the memory limit kills with this: the host knows more of it.
    if (first.signal === 'SIGKILL') exitNow(exitCodeOf(first));
    const hint = first.code === 127 ? '; a command that is not found ends with 127' : '';
    throw new LoadError(
      `the program '${at.name}' ${howItEnded(first)} before it listened on port ${port}, the value of PORT${hint}.${said}`,
    );
  }
  const others = at.sandboxed ? listeningPorts() : [];
  const instead = others.length === 0 ? '' : `; it listens on ${others.join(', ')}`;
  await program.stop();
  throw new LoadError(
    `the program '${at.name}' runs, but nothing accepts connections on port ${port}${instead}: it must listen on the port that the environment variable PORT names, on 0.0.0.0 or 127.0.0.1.${said}`,
  );
}

/** The program is gone, and its instance goes as it did: the host tells the calls, with what it knows of limits. */
function giveUp(end: ProgramEnd, host: FormHost): void {
  host.log.write(0, 'error', `the program ${howItEnded(end)}; the instance ends`);
  exitNow(exitCodeOf(end));
}
