// Cron triggers and queue consumers of a Worker, as schedules, queues and triggers. Used by wrangler.ts.
import { inside, secondsText } from '../event-sources.ts';
import type { EventSources, Rules } from '../event-sources.ts';
import { cloudflareTime } from '../foreign-cron.ts';
import type { ImportedFunction } from '../project.ts';
import { Section } from '../section.ts';
import { textOf } from '../tree.ts';

export function readWorkerTriggers(section: Section, fn: ImportedFunction, sources: EventSources): void {
  const { report, subject } = section.reading;
  const triggers: Rules[] = [];
  for (const item of section.section('queues')?.list('consumers') ?? []) {
    if (item.kind !== 'mapping') continue;
    const consumer = new Section(item, { ...section.reading, path: 'queues.consumers' });
    const name = consumer.text('queue')?.value;
    if (name === undefined) {
      report.left(item.at, subject, 'a consumer of a queue', 'it names no queue');
      continue;
    }
    triggers.push(consumerOf(consumer, name, sources));
    consumer.finish();
    report.carried(item.at, subject, `messages of the queue ${name}`);
  }
  for (const [index, cron] of (section.section('triggers')?.list('crons') ?? []).entries()) {
    const text = textOf(cron) ?? '';
    const found = cloudflareTime(text);
    if ('why' in found) report.left(cron.at, subject, `schedule ${text || '?'}`, `${found.why}: declare it under \`schedules\` by hand`);
    else {
      const schedule = sources.declare('schedule', `${fn.name.slice(0, 34)}${index === 0 ? '' : `-${index + 1}`}`, found.schedule);
      triggers.push({ schedule });
      report.carried(cron.at, subject, `schedule ${text}`);
    }
  }
  if (triggers.length > 0) fn.triggers = triggers;
}

/** What a queue says of itself stands at its consumer there. */
function consumerOf(consumer: Section, name: string, sources: EventSources): Rules {
  const rules: Rules = {};
  const retries = consumer.number('max_retries');
  const delay = consumer.number('retry_delay');
  const retry = {
    // Cloudflare tries three times again unless told otherwise.
    attempts: inside((retries?.value ?? 3) + 1, 1, 1_000),
    ...(delay === undefined ? {} : { delay: secondsText(inside(delay.value, 0, 86_400)) }),
  };
  rules['retry'] = retry;
  const dead = consumer.text('dead_letter_queue')?.value;
  if (dead !== undefined && dead !== name) rules['deadLetters'] = sources.declare('queue', dead);
  const queue = sources.declare('queue', name, rules);
  const batch = consumer.number('max_batch_size');
  const wait = consumer.number('max_batch_timeout');
  const concurrency = consumer.number('max_concurrency');
  consumer.leave({ visibility_timeout_ms: 'a message is held as long as the function runs', type: 'messages go to the function' });
  return {
    queue,
    ...(batch === undefined ? {} : { batch: inside(batch.value, 1, 10_000) }),
    ...(wait === undefined ? {} : { wait: secondsText(inside(wait.value, 0, 300)) }),
    ...(concurrency === undefined ? {} : { concurrency: inside(concurrency.value, 1, 1_000) }),
  };
}
