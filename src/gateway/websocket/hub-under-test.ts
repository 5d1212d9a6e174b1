// The gateway with a WebSocket at /chat whose function is a piece of the test: it gets events, and says what to answer.
// Invariant: what is set up goes with `await using`. Used by the tests of this folder.
import type { GuestScript } from '../../functions/testing.ts';
import type { CloudEvent } from '../../protocol/events.ts';
import { Flag, FrameType, encodeFrame, encodeMetaFrame } from '../../protocol/frames.ts';
import type { WebSocketRules } from '../../protocol/policies/websocket.ts';
import { setUp } from '../gateway-under-test.ts';
import type { SocketLimits } from './hub.ts';

/** What it returns is the answer, as JSON; bytes as they are; a throw is the function's failure. */
export type Answering = (event: CloudEvent<never>) => unknown;

export function functionOf(answering: Answering): GuestScript {
  const bodies = new Map<number, Buffer[]>();
  const reply = (guest: Parameters<GuestScript['onRequest']>[0], stream: number, body: Buffer): void => {
    void (async () => answering(JSON.parse(body.toString()) as CloudEvent<never>))().then(
      (result) => {
        const type = Buffer.isBuffer(result) ? 'application/octet-stream' : 'application/json';
        const bytes = Buffer.isBuffer(result) ? result : Buffer.from(JSON.stringify(result ?? null));
        const first = bytes.subarray(0, 60_000);
        const end = first.length === bytes.length ? Flag.END : 0;
        guest.send(
          encodeMetaFrame(FrameType.RESPONSE, { status: 200, headers: ['content-type', type] }, first, { flags: end, stream, arg: 1 }),
        );
        if (end === 0) guest.send(encodeFrame(FrameType.BODY, { flags: Flag.END, stream, payload: bytes.subarray(60_000) }));
      },
      (error: Error) => {
        const payload = Buffer.from(JSON.stringify({ name: 'Error', message: error.message, stack: '' }));
        guest.send(encodeFrame(FrameType.ERROR, { stream, payload }));
      },
    );
  };
  return {
    onRequest: (guest, stream, _meta, body) => {
      const last = guest.seen.at(-1)!;
      guest.seen.length = 0;
      if ((last.flags & Flag.END) !== 0) reply(guest, stream, body);
      else bodies.set(stream, []);
    },
    onFrame: (guest, frame) => {
      const parts = bodies.get(frame.stream);
      if (frame.type !== FrameType.BODY || parts === undefined) return;
      parts.push(Buffer.from(frame.payload));
      guest.seen.length = 0;
      if ((frame.flags & Flag.END) === 0) return;
      bodies.delete(frame.stream);
      reply(guest, frame.stream, Buffer.concat(parts));
    },
  };
}

/** Without `answering`: sends back what it is sent. */
export async function echoing(rules: WebSocketRules = {}, answering: Answering = echo, sockets: Partial<SocketLimits> = {}) {
  return await setUp(functionOf(answering), {
    routes: [{ path: '/chat', methods: ['GET'], function: 'f', policy: { websocket: rules } }],
    settings: { concurrency: 100, queue: 5_000, timeoutMs: 10_000 },
    sockets,
  });
}

function echo(event: CloudEvent<never>): unknown {
  const { text, base64 } = (event.data ?? {}) as { text?: string; base64?: string };
  return base64 === undefined ? text : Buffer.from(base64, 'base64');
}
