// The control API over real HTTP, a real Postgres and real files. One server for all cases, each group with a database of
// its own: a server per file would cost more than the tests.
import { after, before } from 'node:test';
import { PostgresBus } from '../events/postgres/postgres.ts';
import { DiskBlobs } from '../store/blobs/disk.ts';
import { startTestPostgres } from '../store/records/testing.ts';
import type { TestPostgres } from '../store/records/testing.ts';
import { accessCases } from './access-under-test.ts';
import { artifactCases } from './artifacts-under-test.ts';
import { deliveryCases } from './deliveries-under-test.ts';
import { deploymentCases } from './deployments-under-test.ts';
import { startControl } from './fixture.ts';
import type { StartControl } from './fixture.ts';
import { domainCases } from './domains-under-test.ts';
import { recordCases } from './invocations-under-test.ts';
import { keptCases } from './kept-under-test.ts';
import { protocolCases } from './protocol-under-test.ts';
import { queueCases } from './queues-under-test.ts';
import { scheduleCases } from './schedules-under-test.ts';
import { streamCases } from './streams-under-test.ts';
import { tokenCases } from './tokens-under-test.ts';

let postgres: TestPostgres;
before(async () => {
  postgres = await startTestPostgres();
});
after(async () => {
  await postgres[Symbol.asyncDispose]();
});

const start: StartControl = async (limits = {}) =>
  await startControl({
    database: await postgres.database(),
    blobs: DiskBlobs,
    bus: (connection, holder) => new PostgresBus({ connection, holder, log: () => {} }),
    limits,
  });

protocolCases(start);
tokenCases(start);
accessCases(start);
artifactCases(start);
deploymentCases(start);
domainCases(start);
recordCases(start);
queueCases(start);
deliveryCases(start);
keptCases(start);
scheduleCases(start);
streamCases(start);
