// Times of other clouds, as schedules.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { awsTime, azureTime, cloudflareTime } from './foreign-cron.ts';

test('rates, times and cron expressions of AWS mean the same here', () => {
  assert.deepEqual(awsTime('rate(1 hour)'), { schedule: { rate: '1h' } });
  assert.deepEqual(awsTime('rate(90 minutes)'), { schedule: { rate: '90m' } });
  assert.deepEqual(awsTime('at(2027-01-01T00:00:00)'), { schedule: { at: '2027-01-01T00:00:00Z' } });
  assert.deepEqual(awsTime('cron(0 8 * * ? *)'), { schedule: { cron: '0 8 * * *' } });
  assert.deepEqual(awsTime('cron(0/15 8-17 ? * MON-FRI *)', 'Europe/Madrid'), {
    schedule: { cron: '0-59/15 8-17 * * MON-FRI', timezone: 'Europe/Madrid' },
  });
  // Sunday is 1 there.
  assert.deepEqual(awsTime('cron(0 8 ? * 2-6 *)'), { schedule: { cron: '0 8 * * 1-5' } });
  assert.deepEqual(awsTime('cron(0 8 ? * 1,7 *)'), { schedule: { cron: '0 8 * * 0,6' } });
});

test('what cannot be said the same way is refused with the reason', () => {
  const why = (found: ReturnType<typeof awsTime>): string => ('why' in found ? found.why : JSON.stringify(found));
  assert.match(why(awsTime('cron(0 8 * * ? 2027)')), /years 2027/);
  assert.match(why(awsTime('cron(0 8 L * ? *)')), /L, W or #/);
  assert.match(why(awsTime('cron(0 8 ? * 6#3 *)')), /L, W or #/);
  assert.match(why(awsTime('rate(5 weeks)')), /no rate/);
  assert.match(why(awsTime('at(2027-01-01T00:00:00)', 'Europe/Madrid')), /with its offset/);
  assert.match(why(awsTime('rate(1 day)', 'Nowhere/Land')), /no time zone/);
  assert.match(why(awsTime('tomorrow')), /no rate/);
  assert.match(why(azureTime('*/10 * * * * *')), /of seconds/);
  assert.match(why(cloudflareTime('* * * *')), /five fields/);
});

test('crons of Cloudflare count the days of the week from 1, those of Azure begin with seconds', () => {
  assert.deepEqual(cloudflareTime('*/5 9-17 * * MON-FRI'), { schedule: { cron: '*/5 9-17 * * MON-FRI' } });
  assert.deepEqual(cloudflareTime('0 0 * * 1'), { schedule: { cron: '0 0 * * 0' } });
  assert.deepEqual(azureTime('0 */5 * * * *'), { schedule: { cron: '*/5 * * * *' } });
});
