// `websocket` of a route: connections that live at the gateway, of which the function gets events (RFC 6455).
// Enforced by gateway/websocket/.
import { z } from 'zod';
import { byteSize, duration, headerName, origin } from './words.ts';

const KIB = 1_024;
const LIST_MAX = 100;

const rules = z.strictObject(
  {
    idle: duration({ min: 1_000, max: 86_400_000 })
      .optional()
      .describe('A connection on which no message came or went for so long is closed with 1001. Without it 10m.'),
    maxMessage: byteSize({ min: KIB, max: 512 * KIB })
      .optional()
      .describe('Largest message of a client, uncompressed; a larger one closes the connection with 1009. Without it 128 KiB.'),
    subprotocols: z
      .array(headerName, { error: 'a list of names of subprotocols' })
      .max(LIST_MAX, { error: `at most ${LIST_MAX} subprotocols` })
      .optional()
      .describe(
        'Subprotocols that the function speaks: the first of those that the client offers is agreed on, unless the function chooses.',
      ),
    ping: z
      .union([z.literal(false), duration({ min: 1_000, max: 3_600_000 })], { error: 'a duration such as "30s", or false' })
      .optional()
      .describe(
        'How often the gateway pings; a client of which nothing was heard until the next one is given up. Without it 30s; false: never.',
      ),
    perMessageDeflate: z
      .boolean({ error: 'true or false' })
      .optional()
      .describe(
        'Whether messages from 512 B to 64 KiB may be compressed (RFC 7692), each by itself, for clients that offer it. Without it they are not.',
      ),
    origins: z
      .array(origin, { error: 'a list of origins' })
      .min(1, { error: 'a list of origins' })
      .max(LIST_MAX, { error: `at most ${LIST_MAX} origins` })
      .optional()
      .describe(
        'Origins whose pages may connect, as for `cors`; "*" for every origin. Without it pages of the same host only. Clients that are no browsers send no Origin and are not held to it.',
      ),
    onFailure: z
      .enum(['close', 'answer'], { error: '"close" or "answer"' })
      .optional()
      .describe(
        'When the function fails on a message: `close` the connection with 1011 (also without this key), or `answer` with the error as JSON and close after ten failures in a row.',
      ),
    routeSelection: z
      .string({ error: 'an expression such as $request.body.action' })
      .regex(/^\$request\.body(?:\.[A-Za-z0-9_-]{1,64}){1,8}$/, { error: 'an expression such as $request.body.action' })
      .optional()
      .describe(
        'For code of AWS Lambda: where in a JSON message the `routeKey` stands, as `routeSelectionExpression` of API Gateway. Without it `$default`.',
      ),
  },
  { error: 'rules such as {idle: 10m, maxMessage: 128 KiB}, or {}' },
);

export const websocket = rules.describe(
  'Makes the route a WebSocket whose connections live at the gateway. The function is called for the events connect, message and disconnect, and not for the time between: a connection that is silent costs no instance. The route has to take GET; anything but a handshake is answered 426.',
);

export type WebSocketRules = z.infer<typeof rules>;

export const websocketExample = `A chat that anybody's page may connect to, with clients that are given up after two minutes of silence:

    functions:
      chat:
        source: chat.mjs
        http:
          - path: /chat
            methods: [GET]
            websocket: {idle: 2m, maxMessage: 16 KiB, subprotocols: [chat.v1], origins: ["*"]}

What the function gets and may answer: [events.md](events.md), and the guide [WebSockets](../guide/websockets.md).`;
