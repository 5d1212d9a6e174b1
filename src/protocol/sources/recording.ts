// `record` of a queue, a topic or a route: what passes is kept for a while, so that it can be run again (`virga replay`).
import { z } from 'zod';
import { duration } from '../policies/words.ts';

const REDACTED_MAX = 100;
const redactError = 'a list such as [header.cookie, query.token, body.card.number]';

const rules = z.strictObject(
  {
    for: duration({ min: 60_000, max: 365 * 86_400_000 })
      .optional()
      .describe('How long. Without it 7d.'),
    redact: z
      .array(
        z
          .string({ error: redactError })
          .regex(/^(?:header|query|attribute)\.[^\s.]{1,256}$|^body(?:\.(?:\*|[^\s.*]{1,256})){1,16}$/, { error: redactError }),
        { error: redactError },
      )
      .max(REDACTED_MAX, { error: `at most ${REDACTED_MAX} places` })
      .optional()
      .describe(
        'What is left out: `header.…`, `query.…`, `attribute.…`, or a place in a JSON body such as `body.card.number`, where `*` is any key or index. `authorization`, `cookie` and `x-api-key` are always left out.',
      ),
  },
  { error: 'true, or rules such as {for: 7d, redact: [body.password]}' },
);

export const recording = z
  .union([z.literal(true), rules], { error: 'true, or rules such as {for: 7d, redact: [body.password]}' })
  .describe('Keeps what passes, so that it can be run again with `virga replay`. Without it nothing is kept.');
export type Recording = z.infer<typeof recording>;
