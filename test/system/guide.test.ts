// The pages of docs/guide that can be run, each as it is written (guide-page.ts), one after the other on one Virga. Each
// has projects of its own names.
import assert from 'node:assert/strict';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { runnablePages, runPage } from './guide-page.ts';
import type { SecureDoor } from './guide-page.ts';
import { freePort, ROOT, startVirga, temporaryFolder } from './virga.ts';
import type { Virga } from './virga.ts';

const pages = await runnablePages();

describe('the guides do what they say', () => {
  let virga: Virga;
  let secure: SecureDoor;

  before(async () => {
    secure = { port: await freePort(), certificates: await temporaryFolder('virga-certificates-') };
    const env = { VIRGA_TLS_CERTIFICATES: secure.certificates, VIRGA_WEBHOOKS_PRIVATE: '127.0.0.1,::1' };
    virga = await startVirga({ args: ['--https-port', String(secure.port)], env });
  });

  after(async () => {
    await virga[Symbol.asyncDispose]();
    await rm(secure.certificates, { recursive: true, force: true });
  });

  test('the first function and every migration are among them', async () => {
    const names = (await readdir(join(ROOT, 'docs', 'guide'))).filter((name) => /^(?:first-function|migrate-from-.+)\.md$/.test(name));
    assert.ok(names.length >= 6, names.join(', '));
    const run = pages.filter(({ blocks }) => blocks.length >= 8).map(({ name }) => name);
    for (const name of names) assert.ok(run.includes(name), `${name} is not run, or has hardly a block`);
  });

  for (const page of pages) test(page.name, () => runPage(page, virga, secure));
});
