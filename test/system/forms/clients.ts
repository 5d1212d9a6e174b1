// Clients for the tests of programs: requests whose body is sent bit by bit, WebSockets by the npm package `ws`, events by
// `virga invoke`. Invariant: whoever waits here gives up after WITHIN_MS. Used by the tests of this folder.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { WebSocket } from 'ws';
import type { Virga } from '../virga.ts';

const WITHIN_MS = 20_000;

/** A request of node:http, so that its body can be written while its answer is read. */
export function open(
  virga: Virga,
  project: string,
  path: string,
  options: { method?: string; headers?: Record<string, string> } = {},
): ClientRequest {
  const url = `${virga.edgeUrl}/@${project}${path}`;
  return httpRequest(url, {
    method: options.method ?? 'POST',
    headers: options.headers ?? {},
    agent: false,
    signal: AbortSignal.timeout(WITHIN_MS),
  });
}

export async function answerOf(request: ClientRequest): Promise<IncomingMessage> {
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  return response;
}

/** The chunks as they come, each as text with the time since the first was asked for, ms. */
export async function* chunksOf(response: AsyncIterable<Uint8Array>): AsyncGenerator<{ text: string; ms: number }> {
  const began = performance.now();
  for await (const chunk of response) yield { text: Buffer.from(chunk).toString(), ms: performance.now() - began };
}

/** Sends each word once the one before has come back. */
export async function assertStreamsBothWays(virga: Virga, project: string, path: string, changed: (word: string) => string): Promise<void> {
  const request = open(virga, project, path, { headers: { 'content-type': 'text/plain' } });
  request.write('one');
  const response = await answerOf(request);
  assert.equal(response.statusCode, 200);
  const words = ['two', 'three'];
  let all = '';
  for await (const { text } of chunksOf(response)) {
    all += text;
    const next = words.shift();
    if (next === undefined) request.end();
    else request.write(next);
  }
  assert.equal(all, changed('onetwothree'));
}

export async function assertCarriesLargeBody(virga: Virga, project: string, path: string): Promise<void> {
  const body = Buffer.alloc(20 * 1024 * 1024, 'all work and no play makes a dull body. ');
  const response = await virga.fetch(project, path, { method: 'POST', body, headers: { 'content-type': 'application/octet-stream' } });
  assert.equal(response.status, 200);
  assert.ok(body.equals(Buffer.from(await response.arrayBuffer())), 'the body came back changed');
}

/** Opened; closed by the caller. */
export async function webSocket(virga: Virga, project: string, path: string, protocols: string[] = []): Promise<WebSocket> {
  const socket = new WebSocket(`${virga.edgeUrl.replace('http', 'ws')}/@${project}${path}`, protocols);
  await once(socket, 'open', { signal: AbortSignal.timeout(WITHIN_MS) });
  return socket;
}

/** The status with which a handshake was refused, and what was said. */
export async function refusedHandshake(virga: Virga, project: string, path: string): Promise<{ status: number; text: string }> {
  const socket = new WebSocket(`${virga.edgeUrl.replace('http', 'ws')}/@${project}${path}`);
  socket.on('error', () => {});
  const [, response] = (await once(socket, 'unexpected-response', { signal: AbortSignal.timeout(WITHIN_MS) })) as [
    unknown,
    IncomingMessage,
  ];
  let text = '';
  for await (const chunk of response) text += String(chunk);
  return { status: response.statusCode ?? 0, text };
}

export async function message(socket: WebSocket): Promise<Buffer> {
  const [data] = (await once(socket, 'message', { signal: AbortSignal.timeout(WITHIN_MS) })) as [Buffer];
  return data;
}

export async function closed(socket: WebSocket): Promise<number> {
  if (socket.readyState === WebSocket.CLOSED) return 0;
  const [code] = (await once(socket, 'close', { signal: AbortSignal.timeout(WITHIN_MS) })) as [number];
  return code;
}

/** Text, bytes, a large message, a ping, and the closing handshake. */
export async function assertEchoes(virga: Virga, project: string, path: string): Promise<void> {
  const socket = await webSocket(virga, project, path);
  socket.send('a text');
  assert.equal((await message(socket)).toString(), 'a text');
  const bytes = Buffer.alloc(1024 * 1024, 'x');
  socket.send(bytes);
  assert.ok(bytes.equals(await message(socket)));
  socket.ping('are you there');
  const [pong] = (await once(socket, 'pong', { signal: AbortSignal.timeout(WITHIN_MS) })) as [Buffer];
  assert.equal(pong.toString(), 'are you there');
  socket.close(1000, 'done');
  assert.equal(await closed(socket), 1000);
}

export interface Invoked {
  result: { json?: unknown; text?: string } | null;
  error: { code: string; message: string } | null;
  logs: { text: string; level: string }[];
  invocation: { outcome: string; error: string | null };
}

export async function invoke(virga: Virga, name: string, project: string, payload: unknown, contentType?: string): Promise<Invoked> {
  const type = contentType === undefined ? [] : ['--content-type', contentType];
  const { stdout } = await virga.cli(['invoke', name, '--project', project, '--json', '--data', JSON.stringify(payload), ...type]);
  return JSON.parse(stdout) as Invoked;
}

export const cloudEvent = (type: string, data: unknown) => ({ specversion: '1.0', id: 'e-1', source: '/tests', type, data });
export const CLOUD_EVENT = 'application/cloudevents+json';

/** The log of a function, once a line of it matches. */
export async function logOf(virga: Virga, name: string, project: string, wanted: RegExp): Promise<string> {
  const until = Date.now() + WITHIN_MS;
  for (;;) {
    const { stdout } = await virga.cli(['logs', name, '--project', project]);
    if (wanted.test(stdout)) return stdout;
    assert.ok(Date.now() < until, `no line of ${name} matches ${wanted}:\n${stdout}`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}
