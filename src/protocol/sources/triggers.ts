// `triggers` of a function: what it is called for beside HTTP requests. Each names one source.
import { z } from 'zod';
import { durationMs } from '../../lib/units.ts';
import { declaredName, duration, wholeNumber } from '../policies/words.ts';
import { checkEvent, checkRoots, filter } from './filter.ts';
import { retry } from './retry.ts';

const KEYS = ['queue', 'topic', 'event', 'stream', 'schedule'] as const;
export type TriggerKind = (typeof KEYS)[number];
const BATCH_MAX = 10_000;

const batchError = `a number of messages from 1 to ${BATCH_MAX}`;
/** Of one partition, at a time: each has a state that is committed with every batch. */
const OPEN_WINDOWS_MAX = 64;
const windows = z
  .strictObject(
    {
      size: duration({ min: 1_000, max: 86_400_000 }).describe(
        'How long a window is. They begin at multiples of `every` since 1970, in UTC.',
      ),
      every: duration({ min: 1_000, max: 86_400_000 })
        .optional()
        .describe(
          'When the next one begins. Without it when the last one ends: windows tumble; shorter: they slide, and each record is in several.',
        ),
      late: duration({ min: 0, max: 3_600_000 })
        .optional()
        .describe(
          'How long after its end a window gets its last call. No record of it is missed without: a record has the time of its appending, which never goes back within a partition. Without it 0s.',
        ),
    },
    { error: 'a window such as {size: 1m} or {size: 1m, every: 10s}' },
  )
  .superRefine(({ size, every = size, late = '0s' }, context) => {
    const [sizeMs, everyMs, lateMs] = [size, every, late].map((text) => durationMs(text) ?? 0) as [number, number, number];
    if (everyMs > sizeMs) {
      const message = `\`every\` is ${every}, longer than \`size\`, ${size}: records in between would be in no window; make it ${size} at most`;
      context.addIssue({ code: 'custom', path: ['every'], message, params: { rule: true } });
    }
    const open = Math.ceil((sizeMs + lateMs) / everyMs);
    if (open > OPEN_WINDOWS_MAX) {
      const message = `${open} windows would be open at a time, and ${OPEN_WINDOWS_MAX} may be; make \`every\` longer, or \`late\` shorter`;
      context.addIssue({ code: 'custom', path: ['every'], message, params: { rule: true } });
    }
  });

/** What each kind takes beside its own key. */
const TAKES: Record<TriggerKind, readonly string[]> = {
  queue: ['batch', 'wait', 'concurrency', 'filter'],
  topic: ['filter', 'concurrency', 'retry', 'maxAge', 'deadLetters'],
  event: ['concurrency', 'retry', 'maxAge', 'deadLetters'],
  stream: ['batch', 'wait', 'filter', 'from', 'window', 'retry', 'onFailure', 'deadLetters'],
  schedule: ['input', 'retry', 'maxAge', 'deadLetters'],
};

export const trigger = z
  .strictObject(
    {
      queue: declaredName.optional().describe('Messages of a queue, in batches (`virga.queue.batch`).'),
      topic: declaredName.optional().describe('What is published to a topic (`virga.topic.message`).'),
      event: filter
        .optional()
        .describe('Events of the project that fit this pattern: those that were published, and those of Virga itself.'),
      stream: declaredName.optional().describe('Records of a stream, in order, in batches (`virga.stream.batch`).'),
      schedule: declaredName.optional().describe('Times of a schedule (`virga.schedule.due`).'),
      batch: wholeNumber({ min: 1, max: BATCH_MAX }, batchError)
        .optional()
        .describe('Messages in one call at most. Without it 10 of a queue, 100 of a stream.'),
      wait: duration({ min: 0, max: 300_000 }).optional().describe('How long a batch that is not full waits for more. Without it 0s.'),
      concurrency: wholeNumber({ min: 1, max: 1_000 })
        .optional()
        .describe('Calls at the same time. Without it as many as the function has instances, at most 10.'),
      filter: filter.optional(),
      retry: retry.optional(),
      maxAge: duration({ min: 1_000, max: 14 * 86_400_000 })
        .optional()
        .describe('A delivery that has not succeeded by then is a dead letter. Without it 1d.'),
      deadLetters: declaredName.optional().describe('A queue of the project for its dead letters. Without it: `virga dead-letters`.'),
      from: z
        .enum(['oldest', 'newest'], { error: '"oldest" or "newest"' })
        .optional()
        .describe('Where reading a stream begins the first time. Without it `newest`.'),
      window: windows
        .optional()
        .describe(
          'The function gets the records of a window with its state, gives the new state back, and once more when the window ends.',
        ),
      onFailure: z
        .enum(['block', 'skip'], { error: '"block" or "skip"' })
        .optional()
        .describe(
          'A batch of a stream that failed at its last attempt: its records become dead letters and the next come (`skip`, also without this key), or it is tried for ever (`block`).',
        ),
      input: z.unknown().optional().describe('Of a schedule: what the function gets as `data.input`.'),
    },
    {
      error:
        'a trigger such as {queue: orders, batch: 10}, {topic: prices}, {event: {type: [order.placed]}}, {stream: clicks} or {schedule: nightly}',
    },
  )
  .superRefine((value, context) => {
    const kinds = KEYS.filter((key) => value[key] !== undefined);
    if (kinds.length !== 1) {
      const message =
        kinds.length === 0 ? `give it one of ${KEYS.join(', ')}` : `it has ${kinds.join(' and ')}; give each a trigger of its own`;
      context.addIssue({ code: 'custom', message, params: { rule: true } });
      return;
    }
    checkRoots(value.filter, kinds[0] === 'stream' ? 'record' : 'message', context);
    if (value.event !== undefined) checkEvent(value.event, context);
    const takes = TAKES[kinds[0]!];
    for (const [key, set] of Object.entries(value)) {
      if (set === undefined || key === kinds[0] || takes.includes(key)) continue;
      context.addIssue({
        code: 'custom',
        path: [key],
        message: `a trigger of a ${kinds[0]} takes ${takes.join(', ')}`,
        params: { rule: true },
      });
    }
  });
export type Trigger = z.infer<typeof trigger>;

export function kindOf(one: Trigger): TriggerKind {
  return KEYS.find((key) => one[key] !== undefined)!;
}
