// `topics` of virga.yaml: what is published there goes to all subscriptions whose filter it passes. Functions subscribe by their
// triggers; queues and HTTPS webhooks here.
import { z } from 'zod';
import { declaredName, duration, headerName, secretName, wholeNumber } from '../policies/words.ts';
import { checkRoots, filter } from './filter.ts';
import { recording } from './recording.ts';
import { retry } from './retry.ts';

const SUBSCRIPTIONS_MAX = 100;
const HEADER_VALUE = /^[\t\x20-\x7e]*$/;
const OWN_HEADER = /^(?:content-.*|host|connection|keep-alive|transfer-encoding|te|upgrade|trailer|expect|webhook-.*|ce-.*)$/i;
const urlError =
  'an https:// URL without credentials (http:// for addresses of this machine and private networks, where the node allows them)';

const subscription = z
  .strictObject(
    {
      queue: declaredName.optional().describe('A queue of the project.'),
      url: z
        .string({ error: urlError })
        .max(2_048, { error: urlError })
        .refine(isPlainUrl, { error: urlError })
        .optional()
        .describe('Where it is sent by POST as a CloudEvent. Any 2xx is an answer; others are tried again.'),
      name: declaredName
        .optional()
        .describe(
          'Of a `url`: what it is called. Its messages wait under this name: with one, another `url` gets those that waited for the former. Without it a name that is made of the `url`.',
        ),
      secret: z
        .union([secretName, z.array(secretName).min(1).max(4)], { error: 'the name of a secret, or a list of at most 4' })
        .optional()
        .describe(
          'Of a `url`: the secret that it is signed with, or several while one takes over from another, as Standard Webhooks says (webhook-id, webhook-timestamp, webhook-signature).',
        ),
      headers: z
        .record(headerName, z.string().max(4_096).regex(HEADER_VALUE, { error: 'a value of a header, without line breaks' }), {
          error: 'names and values of headers',
        })
        .refine((headers) => !Object.keys(headers).some((name) => OWN_HEADER.test(name)), {
          error: 'other headers than content-*, host, connection, transfer-encoding, webhook-* and ce-*, which are set by Virga',
        })
        .optional()
        .describe('Of a `url`: further headers. Not for secrets.'),
      mode: z
        .enum(['structured', 'binary'], { error: '"structured" or "binary"' })
        .optional()
        .describe(
          'Of a `url`: whether the CloudEvent is the body as a whole (`structured`, also without this key), or its attributes are headers.',
        ),
      timeout: duration({ min: 100, max: 300_000 }).optional().describe('Of a `url`: how long an answer may take. Without it 10s.'),
      concurrency: wholeNumber({ min: 1, max: 100 }).optional().describe('Of a `url`: requests at the same time. Without it 4.'),
      filter: filter.optional(),
      retry: retry
        .optional()
        .describe('Of a `url`: how a delivery that failed is tried again. Without it 16 attempts within about 9 hours.'),
      maxAge: duration({ min: 60_000, max: 14 * 86_400_000 })
        .optional()
        .describe('Of a `url`: older ones are dead letters. Without it 1d.'),
      deadLetters: declaredName.optional().describe('Of a `url`: a queue of the project for its dead letters.'),
    },
    { error: 'a subscription such as {queue: orders} or {url: "https://example.com/hook", secret: HOOK_SECRET}' },
  )
  .superRefine((value, context) => {
    checkRoots(value.filter, 'message', context);
    if ((value.queue === undefined) === (value.url === undefined))
      context.addIssue({
        code: 'custom',
        message: 'give it one of queue and url; functions subscribe by their own `triggers`',
        params: { rule: true },
      });
    if (value.queue === undefined) return;
    for (const key of ['name', 'secret', 'headers', 'mode', 'timeout', 'concurrency', 'retry', 'maxAge', 'deadLetters'] as const)
      if (value[key] !== undefined)
        context.addIssue({
          code: 'custom',
          path: [key],
          message: 'that is for a `url`; the queue has its own rules',
          params: { rule: true },
        });
  });
/** What is written there is shown, and logged: no place for credentials. */
function isPlainUrl(text: string): boolean {
  const url = URL.parse(text);
  return url !== null && /^https?:$/.test(url.protocol) && url.username === '' && url.password === '';
}
export type Subscription = z.infer<typeof subscription>;

export const topic = z
  .strictObject(
    {
      subscriptions: z
        .array(subscription, { error: 'a list of subscriptions' })
        .max(SUBSCRIPTIONS_MAX, { error: `at most ${SUBSCRIPTIONS_MAX} subscriptions` })
        .optional()
        .describe('Queues and webhooks that get what is published; functions are subscribed by their `triggers`.'),
      record: recording.optional(),
    },
    { error: 'rules such as {subscriptions: [{queue: orders}]}, or {}' },
  )
  .describe('A topic.');
