// The adapters of the Bus port, each held to conformance.ts. A further one is added to this list.
import { after, before } from 'node:test';
import { startTestPostgres } from '../store/records/testing.ts';
import type { TestPostgres } from '../store/records/testing.ts';
import { busConformance, TestClock } from './conformance.ts';
import type { BusUnderTest } from './conformance.ts';
import { PostgresBus } from './postgres/postgres.ts';

let postgres: TestPostgres;
before(async () => {
  postgres = await startTestPostgres();
});
after(async () => {
  await postgres[Symbol.asyncDispose]();
});

const ADAPTERS: { name: string; open: () => Promise<BusUnderTest> }[] = [
  {
    name: 'postgres',
    open: async () => {
      const database = await postgres.database();
      const clock = new TestClock();
      return {
        clock,
        bus: (holder) =>
          new PostgresBus({ connection: database.connection, holder, log: () => {}, now: clock.now, monotonic: clock.monotonic }),
        [Symbol.asyncDispose]: () => database[Symbol.asyncDispose](),
      };
    },
  },
];

for (const { name, open } of ADAPTERS) busConformance(name, open);
