// What every adapter of the Bus port must do. Run by bus.integration.test.ts over all of them; the parts are in conformance/.
import { randomInt } from 'node:crypto';
import { describe } from 'node:test';
import { clockTests } from './conformance/clocks.ts';
import { crashTests } from './conformance/crashes.ts';
import { deadLetterTests } from './conformance/dead-letters.ts';
import { deduplicationTests } from './conformance/deduplication.ts';
import { groupTests } from './conformance/groups.ts';
import type { Open } from './conformance/place.ts';
import { queueTests } from './conformance/queues.ts';
import { scheduleTests } from './conformance/schedule.ts';
import { streamTests } from './conformance/streams.ts';

export function busConformance(name: string, open: Open): void {
  const seed = Number(process.env['VIRGA_TEST_SEED'] ?? randomInt(2 ** 32));
  describe(`${name} bus: queues`, () => queueTests(open));
  describe(`${name} bus: deduplication`, () => deduplicationTests(open));
  describe(`${name} bus: dead letters`, () => deadLetterTests(open));
  describe(`${name} bus: groups`, () => {
    groupTests(open);
    scheduleTests(open, seed);
  });
  describe(`${name} bus: clocks`, () => clockTests(open));
  describe(`${name} bus: crashes`, () => crashTests(open));
  describe(`${name} bus: streams`, () => streamTests(open));
}
