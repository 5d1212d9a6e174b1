// One instance: a sandbox that holds one version, and the host's end of the framed protocol with the guest in it.
//
//   starting ──ready──▶ live ──(retire)──▶ draining ──last call ends──▶ dead
//       └──load failed, crash, time-out──────────────────────────────▶ dead
//
// Invariant: every call given to `run` ends exactly once, whatever the guest does: a guest is hostile until proven
// otherwise, so a malformed or unexpected frame ends the instance, and nothing here grows with what a guest sends.
// Owned by version-pool.ts, which hears `onSlotFree`, `onDead`.
import {
  BODY_CHUNK_MAX,
  CREDIT_WINDOW,
  Flag,
  FrameReader,
  FrameType,
  LOG_LINE_MAX,
  encodeFrame,
  encodeHeader,
  encodeJsonFrame,
  encodeMetaFrame,
} from '../protocol/frames.ts';
import type { Frame, InitPayload, LogLevelName } from '../protocol/frames.ts';
import type { VirgaError } from '../protocol/errors.ts';
import { StreamTable } from '../protocol/stream-table.ts';
import type { Sandbox, SandboxExit } from '../sandbox/sandbox.ts';
import type { Call, CallHost, ColdTimes } from './call.ts';
import { Deadlines } from './deadlines.ts';
import { EndedCalls } from './ended-calls.ts';
import { answerError, exitError, loadError, logTextOf, protocolError, readGuestError, timeoutError } from './failures.ts';
import type { Seen } from './failures.ts';
import { FrameWriter } from './frame-writer.ts';
import { Conduct } from './guest-conduct.ts';
import { ServiceDesk } from './guest-services.ts';
import type { GuestServices } from './guest-services.ts';
import { Handshake } from './handshake.ts';
import { LastLines } from './last-lines.ts';
import { Rest } from './rest.ts';
import type { Accounts } from './memory-budget.ts';
import type { DeployedVersion } from './version.ts';

/** Whose log line it is: an instance, or a pool (with an empty id) when there is none. */
export interface LogSource {
  readonly id: string;
  readonly version: DeployedVersion;
  readonly lastLines?: LastLines;
}

/** What an instance tells its pool. */
export interface InstanceEvents {
  /** A call ended and its slot is free. */
  slotFree(instance: Instance): void;
  /** A call ended, for good or ill: time to write its record. */
  callEnded(instance: Instance, call: Call): void;
  log(source: LogSource, call: Call | undefined, level: LogLevelName, text: string): void;
  /** A call became a connection of another protocol, which may be silent for as long as it lasts. */
  upgraded(call: Call): void;
  /** Nothing of it is left. */
  dead(instance: Instance): void;
}

const LEVELS: LogLevelName[] = ['debug', 'info', 'warn', 'error'];
/** A guest that closed its channel has this long to end by itself, ms. */
const EXIT_GRACE_MS = 500;
/** A guest that was told to stop has this long before it is killed, ms. */
const STOP_GRACE_MS = 2_000;

export class Instance implements CallHost {
  readonly version: DeployedVersion;
  readonly sandbox: Sandbox;
  readonly calls = new StreamTable<Call>();
  state: 'starting' | 'live' | 'draining' | 'dead' = 'starting';
  /** performance.now() when it last became idle. */
  idleSince = 0;
  peakMemoryBytes = 0;
  readonly accounts: Accounts;
  /** For whoever must explain its end. */
  readonly lastLines = new LastLines();
  readonly rest: Rest;
  cold: ColdTimes = { sandboxMs: 0, loadMs: 0, initMs: 0 };
  readonly #events: InstanceEvents;
  readonly #reader: FrameReader;
  readonly #conduct: Conduct;
  readonly #writer: FrameWriter;
  readonly #handshake: Handshake;
  readonly #deadlines: Deadlines;
  readonly #endedCalls = new EndedCalls();
  readonly #desk: ServiceDesk;
  #killed = false;
  /** Why we killed it, for the calls that it takes along. */
  #killReason: VirgaError | undefined;

  constructor(version: DeployedVersion, sandbox: Sandbox, events: InstanceEvents, services?: GuestServices) {
    this.version = version;
    this.sandbox = sandbox;
    this.accounts = { countedMiB: version.settings.memoryMiB, usedAtClock: 0, processorMs: 0 };
    this.rest = new Rest(sandbox);
    this.#events = events;
    this.#conduct = new Conduct(sandbox.channel, version.settings.concurrency);
    this.#handshake = new Handshake(version);
    this.#deadlines = new Deadlines(this.calls, sandbox, {
      timeoutMs: version.settings.timeoutMs,
      onLate: (call, cpu) => this.#onTimeout(call, cpu),
    });
    this.#reader = new FrameReader((frame) => this.#onFrame(frame));
    const channel = sandbox.channel;
    this.#writer = new FrameWriter(channel);
    this.#desk = new ServiceDesk(version, services, (frame) => {
      if (!this.#killed && !this.#conduct.readsAnswers) this.#protocolError('requests whose answers it does not read');
      if (!this.#killed && this.state !== 'dead') this.#writer.send(frame);
    });
    channel.on('data', (chunk: Buffer) => this.#onBytes(chunk));
    channel.on('error', () => {}); // A dead peer shows as 'close'; an error before it says no more than that.
    channel.on('close', () => this.#onChannelClosed());
    // Of a blank: it was at rest until it got its version.
    channel.resume();
    void sandbox.exited.then((exit) => this.#onExit(exit));
  }

  get id(): string {
    return this.sandbox.id;
  }

  get freeSlots(): number {
    return this.state === 'live' ? this.version.settings.concurrency - this.calls.size : 0;
  }

  /** Waits for the runtime unless that has `booted`, hands it the code, waits until that is loaded. Fails with the VirgaError to give the caller. */
  async start(
    init: InitPayload,
    options: { bootTimeoutMs: number; loadTimeoutMs: number; startedAt: number; booted: boolean },
  ): Promise<void> {
    if (!options.booted) await this.#handshake.hello(options.bootTimeoutMs, () => this.#seen());
    const helloAt = performance.now();
    this.cold.sandboxMs = helloAt - options.startedAt;
    this.#writer.send(encodeJsonFrame(FrameType.INIT, init));
    const ready = await this.#handshake.ready(options.loadTimeoutMs, () => this.#seen());
    // The guest's own figure leaves out the way there and back; what remains of the wall time is the platform's.
    const wallMs = performance.now() - helloAt;
    this.cold.initMs = Math.min(wallMs, Math.max(0, Number(ready.initMs) || 0));
    this.cold.loadMs = wallMs - this.cold.initMs;
    this.state = 'live';
    this.idleSince = performance.now();
  }

  /** Hands a call over. The caller has checked that a slot is free. */
  run(call: Call): void {
    this.rest.thaw();
    const stream = this.calls.freeStream();
    const { request } = call;
    call.stream = stream;
    call.host = this;
    call.state = 'running';
    call.leaveQueue = undefined;
    call.runningAt = performance.now();
    this.calls.add(call);
    const timeoutMs = this.version.settings.timeoutMs;
    this.#deadlines.began();
    const bytes = request.body === undefined ? 0 : request.body.length;
    call.bytesIn += bytes;
    call.sendWindow = CREDIT_WINDOW - bytes;
    this.#writer.send(
      encodeMetaFrame(FrameType.REQUEST, request.meta, request.body, { flags: request.bodyEnds ? Flag.END : 0, stream, arg: timeoutMs }),
    );
    request.body = undefined;
    if (!request.bodyEnds) request.sink.bodyWanted(call);
  }

  writeBody(call: Call, chunk: Buffer, end: boolean): boolean {
    call.bytesIn += chunk.length;
    call.sendWindow -= chunk.length;
    let at = 0;
    do {
      const slice = chunk.length <= BODY_CHUNK_MAX ? chunk : chunk.subarray(at, at + BODY_CHUNK_MAX);
      at += slice.length;
      const last = end && at >= chunk.length;
      this.#writer.send(encodeHeader(FrameType.BODY, { length: slice.length, flags: last ? Flag.END : 0, stream: call.stream }));
      if (slice.length > 0) this.#writer.send(slice);
    } while (at < chunk.length);
    // The next chunk of a socket is at most 64 KiB: below that the window might be overrun.
    return call.sendWindow >= BODY_CHUNK_MAX;
  }

  consumed(call: Call, bytes: number): void {
    call.ungranted += bytes;
    if (call.ungranted < CREDIT_WINDOW / 4) return;
    this.#writer.send(encodeFrame(FrameType.CREDIT, { stream: call.stream, arg: call.ungranted }));
    call.receiveWindow += call.ungranted;
    call.ungranted = 0;
  }

  abandon(call: Call): void {
    this.#writer.send(encodeFrame(FrameType.CANCEL, { stream: call.stream }));
  }

  /** No call runs in it, and nothing that a call left behind: it can be stopped, or go. */
  atRest(now: number): boolean {
    // What a call gave to waitUntil has as long as a call has.
    const background = this.rest.background && now - this.idleSince < this.version.settings.timeoutMs;
    return this.state === 'live' && this.calls.size === 0 && !background;
  }

  /** Takes no more calls; ends when the last one has. */
  retire(): void {
    if (this.state === 'dead' || this.state === 'draining') return;
    this.state = 'draining';
    if (this.calls.size === 0) this.#stop();
  }

  /** Ends it at once; its calls fail with `reason`, or with what its end says. */
  kill(reason?: VirgaError): void {
    if (this.#killed) return;
    this.#killed = true;
    this.#killReason = reason;
    if (this.state !== 'dead') this.state = 'draining';
    void this.sandbox.kill();
  }

  #stop(): void {
    this.rest.thaw();
    this.#writer.send(encodeFrame(FrameType.STOP, {}));
    setTimeout(() => this.kill(), STOP_GRACE_MS).unref();
  }

  #onBytes(chunk: Buffer): void {
    if (this.#killed || this.state === 'dead') return;
    try {
      this.#reader.push(chunk);
      this.#conduct.pace();
    } catch (error) {
      this.#protocolError(error instanceof Error ? error.message : String(error));
    }
  }

  #onFrame(frame: Frame): void {
    this.#conduct.admit(frame, this.state === 'starting');
    switch (frame.type) {
      case FrameType.RESPONSE:
        return this.#onResponse(frame);
      case FrameType.BODY:
        return this.#onBody(frame);
      case FrameType.CREDIT:
        return this.#onCredit(frame);
      case FrameType.LOG:
        return this.#onLog(frame);
      case FrameType.STATS:
        this.peakMemoryBytes = Math.max(this.peakMemoryBytes, Math.min(frame.arg, this.version.settings.memoryMiB * 1024) * 1024);
        return;
      case FrameType.BACKGROUND:
        this.rest.background = frame.arg > 0;
        return;
      case FrameType.ERROR:
        return this.#onError(frame);
      case FrameType.CANCEL: // The rest of the request's body is not wanted: it is read from the client and thrown away.
        return;
      case FrameType.SERVICE:
        return this.#desk.onFrame(frame);
      case FrameType.HELLO:
        return this.#handshake.onHello(frame.payload);
      case FrameType.READY:
        return this.#handshake.onReady(frame.payload);
      case FrameType.FAILED:
        return this.#handshake.fail(loadError(this.version, readGuestError(frame.payload), this.#seen()));
      default:
        throw new Error(`an unknown frame type ${frame.type}`);
    }
  }

  #onResponse(frame: Frame): void {
    const call = this.calls.get(frame.stream);
    if (call === undefined) return;
    if (call.headSent) throw new Error('a second RESPONSE on one stream');
    const { meta, body } = this.#conduct.response(call, frame.payload);
    const end = (frame.flags & Flag.END) !== 0;
    call.headSent = true;
    call.headAt = performance.now();
    call.status = meta.status;
    call.bytesOut += body.length;
    if (call.upgraded) this.#events.upgraded(call);
    if (!call.abandoned) call.request.sink.head(meta.status, meta.headers, body, end);
    if (end) this.#finish(call);
  }

  #onBody(frame: Frame): void {
    const call = this.calls.get(frame.stream);
    if (call === undefined) return;
    if (!call.headSent) throw new Error('a BODY before its RESPONSE');
    this.#conduct.answered(call, frame.payload.length);
    const end = (frame.flags & Flag.END) !== 0;
    call.bytesOut += frame.payload.length;
    if (call.abandoned) this.consumed(call, frame.payload.length);
    else call.request.sink.body(frame.payload, end);
    if (end) this.#finish(call);
  }

  #onCredit(frame: Frame): void {
    const call = this.calls.get(frame.stream);
    if (call === undefined) return;
    if (this.#conduct.granted(call, frame.arg) && !call.abandoned) call.request.sink.bodyWanted(call);
  }

  #onLog(frame: Frame): void {
    const text = frame.payload.toString('utf8', 0, Math.min(frame.payload.length, LOG_LINE_MAX + 64));
    const call = frame.stream === 0 ? undefined : (this.calls.get(frame.stream) ?? this.#endedCalls.of(frame.stream));
    this.#events.log(this, call, LEVELS[frame.arg] ?? 'info', text);
  }

  #onError(frame: Frame): void {
    const call = this.calls.get(frame.stream);
    if (call === undefined) return;
    const error = readGuestError(frame.payload);
    if (call.abandoned) return this.#finish(call);
    this.#events.log(this, call, 'error', error.stack === '' ? `${error.name}: ${error.message}` : error.stack);
    this.#fail(call, answerError(this.version, error, this.#seen()));
  }

  #onTimeout(call: Call, cpu: Seen['cpu']): void {
    if (call.state !== 'running') return;
    const error = timeoutError(this.version, { ...this.#seen(call), cpu }, call.upgraded);
    this.#events.log(this, call, 'error', logTextOf(error));
    if (call.upgraded && !call.abandoned) {
      // It did what it was for, for as long as it may: no fault of the instance, which goes on.
      this.abandon(call);
      return this.#fail(call, error);
    }
    // An abandoned call that does not settle costs the instance as well.
    this.state = 'draining';
    this.#fail(call, error);
    // Calls beside it go on until they end or time out too; with none left the instance goes now.
    if (this.calls.size === 0) this.kill();
  }

  #finish(call: Call): void {
    this.#end(call);
    this.#events.callEnded(this, call);
    this.#afterCall();
  }

  #fail(call: Call, error: VirgaError): void {
    if (call.state === 'ended') return;
    this.#end(call);
    call.outcome = error.code;
    call.errorMessage = typeof error.cause === 'string' ? error.cause : error.message;
    call.explanation = error.explanation;
    if (!call.abandoned) {
      if (!call.headSent) call.status = error.status;
      call.request.sink.failed(error, call.headSent);
    }
    this.#events.callEnded(this, call);
    this.#afterCall();
  }

  #end(call: Call): void {
    call.state = 'ended';
    call.host = undefined;
    this.calls.delete(call.stream);
    this.#deadlines.ended();
    this.#endedCalls.add(call);
  }

  #afterCall(): void {
    if (this.state === 'live') {
      if (this.calls.size === 0) this.idleSince = performance.now();
      this.#events.slotFree(this);
    } else if (this.state === 'draining' && this.calls.size === 0 && !this.#killed) this.#stop();
  }

  #protocolError(message: string): void {
    this.#events.log(this, undefined, 'error', `the instance was ended: it broke the protocol with ${message}`);
    this.kill(protocolError(this.version, message, this.#seen()));
  }

  #seen(call?: Call): Seen {
    const ranMs = call === undefined ? null : performance.now() - call.runningAt;
    return { ranMs, peakMemoryBytes: this.peakMemoryBytes, cpu: null, calls: this.calls.size, lastLines: this.lastLines.all };
  }

  #onChannelClosed(): void {
    if (this.state === 'dead') return;
    this.state = 'draining';
    // The end of the process tells why (its exit code, its memory); should it live on without its channel, it is of no use.
    setTimeout(() => this.kill(), EXIT_GRACE_MS).unref();
  }

  #onExit(exit: SandboxExit): void {
    if (this.state === 'dead') return;
    this.state = 'dead';
    if (exit.outOfMemory) this.peakMemoryBytes = Math.max(this.peakMemoryBytes, exit.usage.peakMemoryBytes ?? 0);
    const starting = this.#handshake.waiting;
    const errorOf = (call?: Call): VirgaError => this.#killReason ?? exitError(this.version, exit, { starting, seen: this.#seen(call) });
    // All before the first of them is logged: the last lines are those of its life.
    const ends = this.calls.items().map((call) => ({ call, error: errorOf(call) }));
    if (starting) this.#handshake.fail(errorOf());
    this.#deadlines.close();
    for (const { call, error } of ends) {
      this.#events.log(this, call, 'error', logTextOf(error));
      this.#fail(call, error);
    }
    this.sandbox.channel.destroy();
    this.#events.dead(this);
  }
}
