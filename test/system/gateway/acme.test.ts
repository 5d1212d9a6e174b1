// Certificates by ACME, from a real ACME server that looks for itself whether a name leads here: by http-01 and by tls-alpn-01,
// renewed, kept over a restart, and kept when the server is gone.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { freePort, startVirga, temporaryFolder } from '../virga.ts';
import type { Virga } from '../virga.ts';
import { startAcmeServer } from './acme-server.ts';
import { makeAuthority } from './certificates.ts';
import type { Authority } from './certificates.ts';

interface Listed {
  items: { names: string[]; origin: string; issuer: string | null; state: string; validUntil: string | null; lastError: string | null }[];
}

const PROJECT = {
  'virga.yaml': `
project: shop
gateway:
  domains: [alpn.test, "*.alpn.test"]
functions:
  web:
    source: web.mjs
    http: [/]
`,
  'web.mjs': `export default { fetch: () => new Response('hello') };`,
};

let folder: string;
let authority: Authority;
before(async () => {
  folder = await temporaryFolder();
  authority = makeAuthority(folder);
});
after(() => rm(folder, { recursive: true, force: true }));

/** Of the certificate that a client of this name gets, if it trusts it; else undefined. `root` null: it trusts whatever comes. */
async function serialOf(port: number, servername: string, root: string | null): Promise<string | undefined> {
  const trust = root === null ? { rejectUnauthorized: false } : { ca: root };
  const socket = connectTls({ port, host: '127.0.0.1', servername, ...trust });
  const [outcome] = (await Promise.race([once(socket, 'secureConnect').then(() => [undefined]), once(socket, 'error')]).catch(
    (error: unknown) => [error],
  )) as [unknown];
  const serial = outcome === undefined ? socket.getPeerCertificate().serialNumber : undefined;
  socket.destroy();
  return serial;
}

const listed = async (virga: Virga): Promise<Listed['items']> => (await virga.cli(['certificates', '--json'])).json<Listed>().items;

test('a name gets its certificate by http-01, then the next one ahead of time; a server that is gone takes none away', async () => {
  const [edgePort, httpsPort] = [await freePort(), await freePort()];
  await using acme = await startAcmeServer({ folder, authority, httpPort: edgePort, tlsPort: httpsPort, lifeS: 9 });
  await acme.leadElsewhere('elsewhere.test');
  await using virga = await startVirga({
    edgePort,
    args: ['--https-port', String(httpsPort)],
    env: {
      VIRGA_ACME_DOMAINS: 'shop.test,elsewhere.test',
      VIRGA_ACME_DIRECTORY: acme.directory,
      VIRGA_ACME_CA: authority.file,
      VIRGA_ACME_EMAIL: 'ops@shop.test',
      // Redirected are all but the questions of ACME servers.
      VIRGA_HTTPS_REDIRECT: 'true',
    },
  });
  const first = await until(async () => {
    assert.doesNotMatch(virga.log(), /no new certificate for shop\.test/);
    return await serialOf(httpsPort, 'shop.test', acme.root);
  });
  assert.match(acme.log(), /validate w\/ HTTP/);
  const other = (await listed(virga)).find(({ names }) => names.includes('elsewhere.test'));
  assert.deepEqual([other?.state, other?.validUntil], ['none', null]);
  assert.match(other!.lastError!, /could not see that elsewhere\.test leads here \(http-01\)/);
  const second = await until(async () => {
    assert.doesNotMatch(virga.log(), /no new certificate for shop\.test/);
    const serial = await serialOf(httpsPort, 'shop.test', acme.root);
    return serial === first ? undefined : serial;
  });
  await acme.stop();
  const [item] = await until(async () => {
    const items = (await listed(virga)).filter(({ names, lastError }) => names.includes('shop.test') && lastError !== null);
    return items.length === 0 ? undefined : items;
  });
  assert.match(item!.lastError!, /cannot be reached/);
  assert.match(item!.issuer!, /Pebble/);
  // By now it may have expired: it says more than none.
  assert.equal(await serialOf(httpsPort, 'shop.test', null), second);
  const { status, headers } = await fetch(`${virga.edgeUrl}/.well-known/acme-challenge/unknown`, { redirect: 'manual' });
  assert.deepEqual([status, headers.get('location')], [308, `https://127.0.0.1:${httpsPort}/.well-known/acme-challenge/unknown`]);
});

test('by tls-alpn-01 too, beside clients of HTTPS; what was got is there after a restart, without the ACME server', async () => {
  const [edgePort, httpsPort] = [await freePort(), await freePort()];
  const dataFolder = join(folder, 'data');
  await using acme = await startAcmeServer({ folder, authority, httpPort: 1, tlsPort: httpsPort, lifeS: 3_600 });
  const options = {
    dataFolder,
    edgePort,
    args: ['--https-port', String(httpsPort)],
    env: {
      // Those of projects: `*.alpn.test` cannot be had like this.
      VIRGA_ACME_DOMAINS: 'projects',
      VIRGA_DOMAINS_TRUSTED: 'alpn.test,*.alpn.test',
      VIRGA_ACME_DIRECTORY: acme.directory,
      VIRGA_ACME_CA: authority.file,
      VIRGA_ACME_CHALLENGE: 'tls-alpn-01',
    },
  };
  let serial: string | undefined;
  {
    await using virga = await startVirga(options);
    const deployed = await virga.deploy(PROJECT);
    assert.equal(deployed.code, 0, deployed.stderr);
    serial = await until(() => serialOf(httpsPort, 'alpn.test', acme.root));
    assert.deepEqual(
      (await listed(virga)).map(({ names, origin, state, lastError }) => [names, origin, state, lastError]),
      [[['alpn.test'], 'acme', 'valid', null]],
    );
  }
  await acme.stop();
  await using virga = await startVirga(options);
  assert.equal(await serialOf(httpsPort, 'alpn.test', acme.root), serial);
  assert.equal((await virga.cli(['certificates'])).code, 0);
});

/** Asks again until there is something; the test's own time limit ends it. */
async function until<T>(ask: () => Promise<T | undefined>): Promise<T> {
  for (;;) {
    const found = await ask();
    if (found !== undefined) return found;
  }
}
