// Code that was written for Google's functions: `functions.http`, `functions.cloudEvent`, and the exports of before. The author's
// own copy of the functions framework runs it: its server gets each invocation as a request, without a port (in-process-http.ts), so
// that `req` and `res` are Express's, with `rawBody` and all. Invariant: the framework decides what a function is and how it is
// called; an event that its function refuses has failed. Loaded by forms.ts.
import { join } from 'node:path';
import type { EventRequestMeta, InitPayload, ResponseMeta } from '../../../../protocol/frames.ts';
import { BadResponse, LoadError, describe } from '../../failure.ts';
import type { Invocation } from '../../invocation.ts';
import { importFile } from '../../load.ts';
import type { Exports, Loaded } from '../../load.ts';
import type { LogRecords } from '../../log-records.ts';
import type { FormHost } from '../form.ts';
import { exchange, wholeBody } from '../in-process-http.ts';
import type { RequestListener, Sink } from '../in-process-http.ts';
import { runBatch } from '../queue-batch.ts';
import { receivedEvent } from '../received-event.ts';
import { TRANSLATED, deliveriesOf } from './events.ts';
import type { Delivery } from './events.ts';
import { SIGNATURES, frameworkOf, listenerOf } from './framework.ts';
import type { Framework, Signature } from './framework.ts';

const JSON_HEADERS = ['content-type', 'application/json'];
const TEXT_MAX = 2_000;
/** What the build puts beside the code: the framework, and what the code exports. */
const BUNDLED = 'virgaGoogle';

interface Target {
  name: string;
  signature: Signature;
  listener: RequestListener;
}

/** What Google's platform sets, where the function does not. Express hides the stacks of its errors in production. */
function setEnvironment(init: InitPayload): void {
  const { env } = process;
  env['K_SERVICE'] ??= init.function;
  env['K_CONFIGURATION'] ??= init.function;
  env['K_REVISION'] ??= `${init.function}-${String(init.version).padStart(5, '0')}`;
  env['NODE_ENV'] ??= 'production';
}

export async function load(init: InitPayload, { log }: FormHost): Promise<Loaded> {
  setEnvironment(init);
  const [file = '', name] = init.handler.split('#', 2);
  if (name !== undefined) process.env['FUNCTION_TARGET'] = name;
  const { namespace, loadMs, initMs } = await importFile(init, file);
  const startedAt = performance.now();
  const bundled = bundledIn(namespace);
  const framework = bundled?.framework ?? frameworkOf(join(init.codeFolder, file));
  const target = targetOf(framework, bundled?.code ?? namespace, { file, name, fn: init.function });
  process.env['FUNCTION_TARGET'] = target.name;
  process.env['FUNCTION_SIGNATURE_TYPE'] = target.signature;
  const serve = async (invocation: Invocation): Promise<void> => {
    const { meta, answer, body } = invocation;
    if (meta.kind === 'http') return exchange(target.listener, { incoming: { meta, body }, answer });
    return answerEvent(target, invocation, { meta, init, log });
  };
  return { target: { serve }, ready: { loadMs, initMs: initMs + performance.now() - startedAt, exports: ['serve'] } };
}

/** Of a CommonJS bundle the exports are below `default`. */
function bundledIn(namespace: Exports): { framework: Framework; code: Exports } | undefined {
  const place = namespace[BUNDLED] ?? (namespace['default'] as Exports | undefined)?.[BUNDLED];
  return place as { framework: Framework; code: Exports } | undefined;
}

function targetOf(framework: Framework, code: Exports, given: { file: string; name: string | undefined; fn: string }): Target {
  const asked = given.name ?? process.env['FUNCTION_TARGET'];
  // On Google the entry point is called like the function unless it is said; `function` is the framework's own default.
  const names = asked === undefined ? [given.fn, 'function'] : [asked];
  for (const name of names) {
    const registered = framework.getRegisteredFunction(name);
    if (registered !== undefined) return { name, signature: registered.signatureType, listener: listenerOf(framework, name, undefined) };
    const fn = exportOf(code, name);
    if (typeof fn !== 'function') continue;
    const signature = signatureSetting();
    return { name, signature, listener: listenerOf(framework, name, { fn: fn as () => unknown, signature }) };
  }
  const there = Object.keys(code).filter((key) => key !== 'default' && key !== 'module.exports');
  throw new LoadError(
    `${given.file} registers no function '${names.join("' or '")}' with functions.http or functions.cloudEvent, and exports ${there.join(', ') || 'nothing'}; set \`handler\` in virga.yaml to the entry point`,
  );
}

function exportOf(code: Exports, name: string): unknown {
  for (const place of [code, code['default']]) {
    let value: unknown = place;
    for (const part of name.split('.')) value = (value as Exports | undefined | null)?.[part];
    if (value !== undefined) return value;
  }
  return undefined;
}

function signatureSetting(): Signature {
  const setting = process.env['FUNCTION_SIGNATURE_TYPE'] ?? 'http';
  const signature = SIGNATURES.find((one) => one === setting);
  if (signature !== undefined) return signature;
  throw new LoadError(`FUNCTION_SIGNATURE_TYPE is '${setting}'; it must be ${SIGNATURES.join(', ')}`);
}

async function answerEvent(
  target: Target,
  invocation: Invocation,
  { meta, init, log }: { meta: EventRequestMeta; init: InitPayload; log: LogRecords },
): Promise<void> {
  const { answer } = invocation;
  const payload = await invocation.body.readAll();
  const event = receivedEvent(meta.contentType, payload, TRANSLATED);
  const send = async (delivery: Delivery): Promise<WholeAnswer> => {
    const whole = new WholeAnswer();
    const headers = [...delivery.headers, 'content-length', String(delivery.body.length), 'host', `${init.function}.internal`];
    if (meta.trace !== '') headers.push('traceparent', meta.trace);
    const incoming = { method: 'POST', url: `http://${init.function}.internal/`, headers, client: '127.0.0.1' };
    await exchange(target.listener, { incoming: { meta: incoming, body: wholeBody(delivery.body) }, answer: whole });
    return whole;
  };
  if (event === undefined) {
    const whole = await send({ headers: ['content-type', meta.contentType], body: payload });
    // An HTTP function answers as it would over HTTP.
    if (target.signature !== 'http') whole.check(target.name);
    return whole.passOn(answer);
  }
  const deliveries = deliveriesOf(event, target.signature, init.project);
  if (!Array.isArray(deliveries)) {
    const whole = await send(deliveries);
    whole.check(target.name);
    return whole.passOn(answer);
  }
  const outcome = await runBatch(deliveries, {
    atOnce: init.concurrency,
    run: async (delivery) => (await send(delivery)).check(target.name),
    onFailure: ({ id }, error) => log.write(invocation.stream, 'error', `message ${id} failed: ${describe(error)}`),
  });
  return answer.whole({ status: 200, headers: JSON_HEADERS }, Buffer.from(JSON.stringify(outcome)));
}

class EventRefused extends BadResponse {
  override name = 'EventRefused';
}

/** The answer to an event, kept until it is known what it means. */
class WholeAnswer implements Sink {
  readonly closed = false;
  onCancel: (() => void) | undefined;
  #meta: ResponseMeta = { status: 204, headers: [] };
  readonly #chunks: Buffer[] = [];

  head(meta: ResponseMeta): void {
    this.#meta = meta;
  }

  empty(meta: ResponseMeta): void {
    this.#meta = meta;
  }

  write(chunk: Uint8Array): undefined {
    this.#chunks.push(Buffer.from(chunk));
  }

  end(): void {}

  /** The framework has logged why. */
  check(name: string): void {
    if (this.#meta.status < 400) return;
    const text = Buffer.concat(this.#chunks).toString().slice(0, TEXT_MAX);
    throw new EventRefused(`'${name}' answered the event with ${this.#meta.status}: ${text}`);
  }

  async passOn(answer: Invocation['answer']): Promise<void> {
    if (this.#meta.status === 204) return answer.whole({ status: 200, headers: JSON_HEADERS }, Buffer.from('null'));
    return answer.whole(this.#meta, Buffer.concat(this.#chunks));
  }
}
