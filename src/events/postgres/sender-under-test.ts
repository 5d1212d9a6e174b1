// A process of its own that sends as fast as it can, to be killed: two messages in each call, many calls at once. It prints the bodies
// of what was acknowledged. Arguments, JSON: the connection, the queue, its name, the time. Part of bus.integration.test.ts.
import type pg from 'pg';
import { newId } from '../../lib/ids.ts';
import type { QueueSpec } from '../bus.ts';
import { PostgresBus } from './postgres.ts';

const CALLERS = 20;

const [connection, queue, name, nowMs] = process.argv.slice(2).map((text) => JSON.parse(text) as unknown) as [
  pg.ClientConfig,
  QueueSpec,
  string,
  number,
];
const bus = new PostgresBus({ connection, holder: name, log: () => {}, now: () => nowMs });
let calls = 0;
await Promise.all(
  Array.from({ length: CALLERS }, async (_, caller) => {
    for (;;) {
      const call = `${name}-${++calls}`;
      const messages = ['a', 'b'].map((half) => ({ id: newId('msg'), body: `${call}/${half}`, attributes: {}, group: `g${caller % 4}` }));
      await bus.send([{ queue, messages }]);
      process.stdout.write(messages.map(({ body }) => `${body}\n`).join(''));
    }
  }),
);
