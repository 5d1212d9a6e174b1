// The program inside a Node sandbox: takes one version of one function from the host and serves its invocations.
//
//   boot ──▶ HELLO ──▶ (idle: rehearse) ──INIT──▶ load ──▶ READY ──REQUEST…──▶ serve ──STOP──▶ finish, hooks, exit 0
//                                                  └──▶ FAILED, exit 1            └─ fd 3 closed: exit at once
//
// Invariant: fd 3 is the only way in and out; a blank guest holds nothing of any function, and once it has been given a
// version it serves no other. Started as `node <flags> guest.cjs <runtime>`, bundled with its siblings to one CommonJS
// file, on Node 24 and 26.
//
// Where to look: channel.ts (frames in and out) · load.ts (the user's code) · serve.ts (invocations) · web-call.ts,
// request.ts and response.ts, handler-call.ts and api-gateway.ts (the two styles) · request-body.ts, answer.ts (bodies under credit) ·
// forms/ (code of other clouds, and programs that stand beside the guest) · console.ts, standard-streams.ts, log-records.ts (logs) · context.ts, invocation.ts · failure.ts, last-words.ts (errors,
// ends) · rehearsal.ts (what a blank does while it waits).
import { FrameType, encodeJsonFrame } from '../../protocol/frames.ts';
import type { Frame, HelloPayload, InitPayload } from '../../protocol/frames.ts';
import { Channel } from './channel.ts';
import { installConsole } from './console.ts';
import { toGuestError } from './failure.ts';
import { exitAtOnce, exitNow, installLastWords, stop } from './last-words.ts';
import { formOf, releaseOthers } from './forms/forms.ts';
import { load } from './load.ts';
import type { Target } from './load.ts';
import { LogRecords } from './log-records.ts';
import { PeakMemory } from './peak-memory.ts';
import { rehearseWhenIdle } from './rehearsal.ts';
import { installResponse } from './response.ts';
import { Server } from './serve.ts';
import { releaseSourceMaps } from './source-maps.ts';
import { StandardStreams } from './standard-streams.ts';

const CHANNEL_FD = 3;

function main(): void {
  const channel = new Channel(CHANNEL_FD);
  // First of all: the host does its part while the rest of the guest is made ready (2.5 ms, most of it `net`).
  const hello: HelloPayload = {
    runtime: process.argv[2] ?? 'nodejs',
    runtimeVersion: process.version,
    bootMs: Math.round(performance.now() * 1000) / 1000,
  };
  channel.sendNow(encodeJsonFrame(FrameType.HELLO, hello));

  const log = new LogRecords(channel);
  const streams = new StandardStreams(log);
  const memory = new PeakMemory(channel);
  const endRehearsal = rehearseWhenIdle();
  let server: Server | undefined;
  let stopTarget: Target['stop'];
  let initialised = false;

  const onFrame = (frame: Frame): void => {
    if (server !== undefined && frame.type !== FrameType.STOP) return server.onFrame(frame);
    if (frame.type === FrameType.INIT && !initialised) {
      initialised = true;
      endRehearsal();
      void begin(JSON.parse(frame.payload.toString('utf8')) as InitPayload);
    } else if (frame.type === FrameType.STOP) {
      if (server === undefined) stop(channel);
      else
        void server
          .idle()
          .then(() => stopTarget?.())
          .finally(() => stop(channel));
    }
  };

  async function begin(init: InitPayload): Promise<void> {
    log.limit(init.logBytesPerSecond);
    const path = process.env['PATH'] ?? '';
    try {
      // The sandbox was started with an environment of its own (PATH, HOME, TMPDIR, LANG); nothing in it is the host's.
      Object.assign(process.env, init.env);
      process.chdir(init.codeFolder);
      const { target, ready } =
        init.form === undefined ? await load(init) : await (await formOf(init.form)).load(init, { log, channel, memory, path });
      stopTarget = target.stop;
      server = new Server({ outlet: channel, init, target, log, streams, memory });
      channel.sendNow(encodeJsonFrame(FrameType.READY, ready));
      // The host makes up its request meanwhile.
      releaseSourceMaps();
      releaseOthers(init.form);
    } catch (error) {
      channel.send(encodeJsonFrame(FrameType.FAILED, toGuestError(error)));
      exitNow(1);
    }
  }

  channel.open(onFrame, exitAtOnce);
  // Before INIT, so that a cold start does not wait for it (0.5 ms in a process that has slept).
  streams.install();
  installConsole(log);
  installResponse();
  installLastWords({ channel, log, streams });
  process.setSourceMapsEnabled(true);
}

main();
