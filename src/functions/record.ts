// Turns the end of a call into its record and receipt. Pure; called by engine.ts once per call, and by the gateway for
// the receipt in Server-Timing.
import type { InvocationRecord, Receipt } from '../protocol/invocation.ts';
import type { Call } from './call.ts';
import type { Instance } from './instance.ts';

export function recordOf(call: Call, instance: Instance | undefined): InvocationRecord {
  const { request } = call;
  const { version } = request;
  const abandoned = call.abandoned && call.outcome === 'ok';
  return {
    id: request.meta.id,
    traceId: request.traceId,
    project: version.project,
    function: version.function,
    version: version.version,
    trigger: request.trigger,
    outcome: abandoned ? 'client_closed_request' : call.outcome,
    status: request.meta.kind === 'http' ? (abandoned && !call.headSent ? 499 : call.status) : null,
    request: request.requestLine,
    error: call.errorMessage === null ? null : call.errorMessage.slice(0, 1024),
    explanation: call.explanation,
    startedAt: call.startedAtUnixMs,
    receipt: receiptOf(call, performance.now()),
    peakMemoryBytes: instance?.peakMemoryBytes ?? 0,
    bytesIn: call.bytesIn,
    bytesOut: call.bytesOut,
    instance: instance?.id ?? '',
  };
}

/** The receipt as far as it is known at `now` (performance.now()). */
export function receiptOf(call: Call, now: number): Receipt {
  const cold = call.cold;
  const ran = call.runningAt > 0;
  const waitedMs = (ran ? call.runningAt : now) - call.acceptedAt;
  const handlerMs = ran ? now - call.runningAt : 0;
  if (cold === undefined) {
    return { queueMs: waitedMs, sandboxMs: 0, loadMs: 0, initMs: 0, handlerMs, cold: false, billedMs: Math.ceil(handlerMs) };
  }
  const startMs = cold.sandboxMs + cold.loadMs + cold.initMs;
  return {
    queueMs: Math.max(0, waitedMs - startMs),
    sandboxMs: cold.sandboxMs,
    loadMs: cold.loadMs,
    initMs: cold.initMs,
    handlerMs,
    cold: true,
    billedMs: Math.ceil(handlerMs + cold.initMs),
  };
}
