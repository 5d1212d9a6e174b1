import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Config } from '../config/config.ts';
import { readConfig } from '../config/env.ts';
import { startTestPostgres } from '../store/records/testing.ts';
import type { TestPostgres } from '../store/records/testing.ts';
import { runControl } from './control.ts';

let postgres: TestPostgres;
let config: Config;
before(async () => {
  postgres = await startTestPostgres();
  const reading = readConfig({}, { VIRGA_DATA: postgres.folder });
  config = { ...reading.config, runFolder: postgres.runFolder, controlPort: await freePort(), log: 'json' };
});
after(async () => {
  await postgres[Symbol.asyncDispose]();
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

test('the control role serves with the token of the data folder, also while there is no edge, and starts again with the same one', async () => {
  for (let round = 0; round < 2; round++) {
    const role = await runControl(config);
    try {
      const token = (await readFile(join(config.dataFolder, 'operator-token'), 'utf8')).trim();
      const url = `http://127.0.0.1:${config.controlPort}`;
      const response = await fetch(`${url}/v1/status`, { headers: { authorization: `Bearer ${token}` } });
      const status = (await response.json()) as { edge: unknown; urls: unknown; version: string };
      assert.equal(response.status, 200);
      assert.equal(status.edge, null);
      assert.deepEqual(status.urls, { control: url, edge: `http://127.0.0.1:${config.edgePort}` });
      assert.match(status.version, /^\d+\.\d+\.\d+/);
    } finally {
      await role.close();
    }
  }
});

test('a taken port fails the start and leaves nothing open', async () => {
  const other = createServer().listen(config.controlPort, '127.0.0.1');
  await new Promise((resolve) => other.once('listening', resolve));
  await assert.rejects(runControl(config), { code: 'EADDRINUSE' });
  await new Promise((resolve) => other.close(resolve));
});
