// Runs again what passed: as an invocation of now, with the trigger `replay`, of any version; compares its answer with the one that was
// recorded, or else with that of the version that is served, which is run beside it. Invariant: a replay is a real call, with all that the
// function does; nothing on the bus is settled or changed by it. Called by control/replay.ts.
import { VirgaError } from '../../protocol/errors.ts';
import type { Difference, ReplayAnswer, ReplayRequest, ReplayResult, ReplayRun } from '../../protocol/replay-api.ts';
import type { EventCall, EventOutcome } from '../invoker.ts';
import type { Topology } from '../topology.ts';
import { differences } from './difference.ts';
import type { ComparedAnswer } from './difference.ts';
import { originsOf } from './origins.ts';
import type { Origin, OriginParts } from './origins.ts';
import { Redaction } from './redaction.ts';

export interface ReplayParts extends OriginParts {
  invoke: (call: EventCall) => Promise<EventOutcome>;
  answerBytesMax: number;
}

export async function replay(parts: ReplayParts, topology: Topology, asked: ReplayRequest): Promise<ReplayAnswer> {
  const origin = chosenOrigin(await originsOf(parts, topology, asked.id), topology.project, asked);
  const fn = chosenFunction(origin, asked);
  const call: EventCall = {
    project: topology.project,
    function: fn,
    trigger: 'replay',
    requestLine: `REPLAY ${asked.id}`,
    answerBytesMax: parts.answerBytesMax,
    ...(origin.callsBy?.get(fn) ?? origin.call),
  };
  const versioned = asked.version === undefined ? call : { ...call, version: asked.version };
  const outcome = await parts.invoke(versioned);
  if (!outcome.ok && outcome.refused) throw new VirgaError(outcome.code, outcome.message);
  const answer: ReplayAnswer = {
    id: asked.id,
    source: origin.source,
    function: fn,
    redacted: origin.redacted,
    ...runOf(outcome),
    compared: null,
    differences: null,
  };
  if (asked.diff !== true) return answer;
  const { answered } = origin;
  if (answered !== undefined) {
    const { version, invocation } = answered;
    const compared = { with: 'recorded' as const, version, invocation, result: resultOf(answered.answer), error: null };
    return { ...answer, compared, differences: difference({ answer: answered.answer }, side(outcome), new Redaction(origin.redacted)) };
  }
  const served = await parts.invoke(call);
  if (!served.ok && served.refused) throw new VirgaError(served.code, served.message);
  return { ...answer, compared: { with: 'served', ...runOf(served) }, differences: difference(side(served), side(outcome), undefined) };
}

function chosenOrigin(origins: Origin[], project: string, { id, source }: ReplayRequest): Origin {
  const fitting = source === undefined ? origins : origins.filter((origin) => origin.source === source);
  if (origins.length === 0)
    throw new VirgaError(
      'recording_not_found',
      `project '${project}' has nothing of the id '${id.slice(0, 100)}' that could be run again; \`virga recordings\` lists what was recorded, \`virga dead-letters\` what died`,
    );
  const sources = origins.map((origin) => `'${origin.source}'`).join(', ');
  if (fitting.length === 0) throw new VirgaError('recording_not_found', `${id} did not pass '${source}'; it passed ${sources}`);
  if (fitting.length > 1) throw new VirgaError('invalid_request', `${id} passed ${sources}; say which one by \`source\` (--source)`);
  return fitting[0]!;
}

function chosenFunction({ functions, source }: Origin, { id, function: fn }: ReplayRequest): string {
  if (fn !== undefined) return fn;
  if (functions.length === 1) return functions[0]!;
  const why =
    functions.length === 0 ? `no function takes what passes '${source}'` : `it goes to ${functions.map((name) => `'${name}'`).join(', ')}`;
  throw new VirgaError('invalid_request', `which function is to run ${id}? ${why}; say it by \`function\` (--function)`);
}

interface Side {
  answer?: ComparedAnswer;
  error?: { code: string; message: string };
}

function side(outcome: EventOutcome): Side {
  if (!outcome.ok) return { error: { code: outcome.code, message: outcome.message } };
  const { status, headers = [], contentType, body, truncated = false } = outcome;
  return { answer: { status, headers, contentType, body, truncated } };
}

function difference(before: Side, after: Side, redaction: Redaction | undefined): Difference[] {
  const [ours, theirs] = [before.answer, after.answer];
  if (ours !== undefined && theirs !== undefined) return differences(redacted(ours, redaction), redacted(theirs, redaction));
  if (before.error?.code === after.error?.code && ours === undefined && theirs === undefined) return [];
  return [
    {
      at: 'error',
      ...(before.error === undefined ? {} : { before: before.error.code }),
      ...(after.error === undefined ? {} : { after: after.error.code }),
    },
  ];
}

/** What was left out of the recording is no difference. */
function redacted(answer: ComparedAnswer, redaction: Redaction | undefined): ComparedAnswer {
  if (redaction === undefined) return answer;
  const left = new Set<string>();
  const body = answer.truncated ? answer.body : redaction.body(answer.body, left);
  return {
    ...answer,
    headers: redaction.headers(answer.headers, left),
    body: body ?? Buffer.alloc(0),
    truncated: answer.truncated || body === undefined,
  };
}

function runOf(outcome: EventOutcome): ReplayRun {
  if (!outcome.ok)
    return { version: null, invocation: outcome.invocation, result: null, error: { code: outcome.code, message: outcome.message } };
  const { version = null, invocation, status, headers = [], contentType, body, truncated = false } = outcome;
  return { version, invocation, result: resultOf({ status, headers, contentType, body, truncated }), error: null };
}

export function resultOf({ status, headers, contentType, body, truncated }: ComparedAnswer): ReplayResult {
  const text = body.toString();
  return { status, headers, contentType, ...(body.equals(Buffer.from(text)) ? { text } : { base64: body.toString('base64') }), truncated };
}
