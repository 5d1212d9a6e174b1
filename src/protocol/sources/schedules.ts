// `schedules` of virga.yaml: times at which functions are called.
import { z } from 'zod';
import { cronProblem, isTimezone } from '../../lib/cron.ts';
import { duration, wholeNumber } from '../policies/words.ts';

const cronError = 'a cron expression such as "0 3 * * *"';
const timezoneError = 'a time zone such as Europe/Madrid or UTC';
const instantError = 'a time with its offset, such as "2026-12-24T18:00:00+01:00"';
const instant = z.iso.datetime({ offset: true, error: instantError });

export const schedule = z
  .strictObject(
    {
      cron: z
        .string({ error: cronError })
        .superRefine((text, context) => {
          const problem = cronProblem(text, { seconds: true });
          if (problem !== undefined) context.addIssue({ code: 'custom', message: problem });
        })
        .optional()
        .describe(
          'Minute, hour, day of month, month, day of week; with six fields the second comes first. See [schedules](../guide/schedules.md).',
        ),
      rate: duration({ min: 1_000, max: 366 * 86_400_000 })
        .optional()
        .describe('Every so often, counted from `start`, or from when it was first deployed.'),
      at: instant.optional().describe('Once, at this time.'),
      timezone: z
        .string({ error: timezoneError })
        .refine(isTimezone, { error: timezoneError })
        .optional()
        .describe('Of `cron`. Without it UTC.'),
      jitter: duration({ min: 0, max: 86_400_000 })
        .optional()
        .describe('Each time it is late by a random part of this, so that not all come at once.'),
      start: instant.optional().describe('Not before.'),
      end: instant.optional().describe('Not after.'),
      missed: z
        .enum(['skip', 'once', 'all'], { error: '"skip", "once" or "all"' })
        .optional()
        .describe(
          'What becomes of times that passed while the node was off or the schedule was paused: none (also without this key), one call for all of them, or one for each, at most 1000.',
        ),
      paused: z.boolean({ error: 'true or false' }).optional().describe('Deployed, but not running until `virga schedules resume`.'),
      catchUp: wholeNumber({ min: 1, max: 1_000 }).optional().describe('With `missed: all`: how many at most, the latest. Without it 100.'),
    },
    { error: 'a schedule such as {cron: "0 3 * * *", timezone: Europe/Madrid}' },
  )
  .superRefine((value, context) => {
    if ([value.cron, value.rate, value.at].filter((one) => one !== undefined).length !== 1)
      context.addIssue({ code: 'custom', message: 'give it one of cron, rate and at', params: { rule: true } });
    if (value.timezone !== undefined && value.cron === undefined)
      context.addIssue({
        code: 'custom',
        path: ['timezone'],
        message: 'that is for `cron`; a rate has none, and `at` has its offset',
        params: { rule: true },
      });
    if (value.catchUp !== undefined && value.missed !== 'all')
      context.addIssue({ code: 'custom', path: ['catchUp'], message: 'that is for `missed: all`', params: { rule: true } });
    if (value.start !== undefined && value.end !== undefined && Date.parse(value.start) >= Date.parse(value.end))
      context.addIssue({ code: 'custom', path: ['end'], message: 'it ends before it starts', params: { rule: true } });
  })
  .describe('A schedule: functions name it in their `triggers`.');
export type ScheduleRules = z.infer<typeof schedule>;
