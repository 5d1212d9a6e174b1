import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync, readdirSync, readlinkSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { newId } from '../../lib/ids.ts';
import type { Egress } from '../../protocol/egress.ts';
import { BubblewrapDriver } from '../bubblewrap/bubblewrap.ts';
import type { BubblewrapOptions } from '../bubblewrap/bubblewrap.ts';
import type { Launch, LaunchedSandbox, Network } from '../driver.ts';
import { OciDriver } from '../oci/oci.ts';
import { findRuntime } from '../oci/runtimes.ts';
import { descendants } from '../process-tree.ts';
import type { NetworkPolicy } from '../sandbox.ts';
import { GUEST } from './attempts-under-test.ts';
import type { Attempt } from './attempts-under-test.ts';
import { FIRST, FIRST_V6, HOST, PRIVATE, SECOND, TestInternet } from './internet-under-test.ts';
import { SandboxNetworks } from './network.ts';

const reason = process.getuid?.() === 0 ? false : 'needs root: it builds an internet out of network namespaces';

const DRIVERS = {
  bubblewrap: (options: BubblewrapOptions) => BubblewrapDriver.open(options),
  crun: (options: BubblewrapOptions) => OciDriver.open({ ...options, runtime: 'crun' }),
  runsc: (options: BubblewrapOptions) => OciDriver.open({ ...options, runtime: 'runsc' }),
};

for (const [name, open] of Object.entries(DRIVERS)) {
  const absent = name !== 'bubblewrap' && findRuntime(name) === null && `${name} is not installed`;
  describe(`the network of sandboxes of ${name}`, { skip: reason || absent }, () => suite(open));
}

function suite(open: (options: BubblewrapOptions) => Promise<BubblewrapDriver | OciDriver>): void {
  const folder = mkdtempSync(join(tmpdir(), 'virga-network-'));
  const scope = Math.random().toString(16).slice(2, 14).padEnd(12, '0');
  const log: string[] = [];
  let internet: TestInternet;
  let networks: SandboxNetworks;
  let driver: BubblewrapDriver | OciDriver;

  before(async () => {
    internet = await TestInternet.open();
    networks = await SandboxNetworks.open({
      spare: 2,
      max: 6,
      connectionsPerSandboxMax: 4,
      connectionsMax: 64,
      opened: ['10.98.76.0/24'],
      openPort: null,
      resolvers: ['203.0.113.53'],
      log: (level, text) => log.push(`${level} ${text}`),
    });
    assert.equal(networks.note, null);
    const trial = await networks.take();
    const networking = { userNamespace: networks.userNamespace, trial: trial.path };
    driver = await open({ scope, folders: [dirname(process.execPath)], runFolder: folder, networking });
    trial.release();
  });

  after(async () => {
    await driver.close();
    await networks.close();
    await internet[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true });
    assert.deepEqual(relays(), [], 'a relay is left');
  });

  interface Run {
    answers: unknown[];
    log: string[];
  }

  /** Runs a script in a sandbox that has this network. */
  async function start(network: Network, script: string, ...args: string[]): Promise<{ sandbox: LaunchedSandbox; output: () => string }> {
    let text = '';
    const sink = { write: (more: string) => (text += more).length > 0, onceWelcome: (resume: () => void) => resume() };
    const launch: Launch = {
      id: newId('sbx'),
      argv: ['/runtime/node', '-e', script, ...args],
      env: {},
      mounts: [{ source: dirname(process.execPath), target: '/runtime' }],
      lateTargets: [],
      cwd: '/',
      network: network.path,
      background: false,
      isolation: 'standard',
      memoryMiB: 256,
      cpus: null,
      tmpMiB: 8,
      pids: 64,
    };
    return { sandbox: await driver.start(launch, 'ignore', sink), output: () => text };
  }

  async function run(egress: Egress, attempts: Attempt[]): Promise<Run> {
    const network = await networks.take();
    const { sandbox, output } = await start(network, GUEST, JSON.stringify(attempts));
    const said: string[] = [];
    network.assign(tenant(egress), (level, text) => said.push(`${level} ${text}`));
    const exit = await sandbox.exited;
    assert.equal(exit.code, 0, exit.stderrTail);
    network.release();
    const answers = output()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown);
    return { answers, log: said };
  }

  test('internet: public addresses are reached, by address and by name, over IPv4 and IPv6', async () => {
    const { answers, log: said } = await run('internet', [
      { connect: FIRST, port: 443 },
      { connect: FIRST_V6, port: 443 },
      { connect: 'good.test', port: 8443 },
      { lookup: 'good.test' },
      { lookup: 'alias.test', family: 4 },
      { fetch: `http://${SECOND}/` },
      { fetch: 'http://api.wild.test/' },
      { lookup: 'absent.test' },
      { resolve: 'long.test', type: 'TXT' },
    ]);
    assert.deepEqual(answers, [
      `hello from ${FIRST}`,
      `hello from ${FIRST_V6}`,
      (answers[2] as string).includes(':') ? `hello from ${FIRST_V6}` : `hello from ${FIRST}`,
      (answers[3] as string).startsWith('2') ? answers[3] : 'both addresses',
      FIRST,
      `200 page of ::ffff:${SECOND}`,
      `200 page of ::ffff:${SECOND}`,
      'ENOTFOUND',
      '10',
    ]);
    assert.deepEqual((answers[3] as string).split(' ').toSorted(), [FIRST_V6, FIRST].toSorted());
    assert.deepEqual(said, []);
  });

  test('large bodies arrive whole both ways, and a connection may be closed by halves', async () => {
    const { answers } = await run('internet', [
      { fetch: `http://${FIRST}/bytes/20000000` },
      { fetch: `http://${FIRST}/echo`, bytes: 3_000_000 },
      { connect: FIRST, port: 443, say: 100_000 },
    ]);
    assert.deepEqual(answers, ['200 20000000', '200 3000000', `hello from ${FIRST} and 100000 bytes`]);
  });

  test('internet: neither the host, private networks nor the metadata address are reached, in any spelling', async () => {
    const service = createServer((socket) => socket.end('the control API')).listen(0, '::');
    await once(service, 'listening');
    const { port } = service.address() as { port: number };
    try {
      const hosts = [HOST, PRIVATE, '169.254.169.254', '100.64.0.1', '172.16.0.1', '192.168.1.1', '198.18.0.1', '224.0.0.1', '240.0.0.1'];
      const v6 = [`::ffff:${PRIVATE}`, 'fd00::1', 'fe80::1%lo', '64:ff9b::a62:4c05', '2002:0a62:4c05::1', '2001:db8:71::1', 'ff02::1%lo'];
      const { answers, log: said } = await run('internet', [
        ...hosts.map((host) => ({ connect: host, port })),
        ...v6.map((host) => ({ connect: host, port })),
        { connect: '127.0.0.1', port },
        { connect: '::1', port },
        { connect: '0.0.0.0', port },
        { connect: '127.0.0.1', port: 1 },
      ]);
      const refusals = new Set(['ECONNRESET', 'ECONNREFUSED', 'EACCES', 'ENETUNREACH', 'EINVAL', 'EHOSTUNREACH', 'EPERM', 'END']);
      for (const [index, answer] of answers.entries()) assert.ok(refusals.has(answer as string), `${index}: ${String(answer)}`);
      assert.ok(
        said.some((line) => line.startsWith(`warn egress: ${PRIVATE} port ${port} was refused to function 'hello': ${PRIVATE} is not on`)),
      );
      assert.ok(said.some((line) => line.includes(`${HOST} port ${port}`) && line.includes('this node itself')));
    } finally {
      service.close();
    }
  });

  test('names that resolve to addresses that are not public do not resolve', async () => {
    const { answers, log: said } = await run('internet', [
      { lookup: 'private.test' },
      { lookup: 'metadata.test' },
      { lookup: 'mapped.test' },
      { lookup: 'mixed.test' },
      { resolve: '5.76.98.10.in-addr.arpa', type: 'PTR' },
      { connect: 'host.test', port: 80 },
    ]);
    assert.deepEqual(answers, ['ENOTFOUND', 'ENOTFOUND', 'ENOTFOUND', 'ENOTFOUND', 'ENOTFOUND', 'ECONNRESET']);
    assert.match(said.join('\n'), /the name 'private.test' was refused.*10\.98\.76\.5 is not on the internet/);
    assert.match(said.join('\n'), /host.test \(203\.0\.113\.1\) port 80 was refused.*this node itself/);
  });

  test('a name that changes its address, and a redirect, lead nowhere else', async () => {
    const { answers } = await run(
      ['rebind.test', 'good.test'],
      [
        { connect: 'rebind.test', port: 443 },
        { connect: 'rebind.test', port: 443 },
        { fetch: 'http://good.test/' },
        { fetch: 'http://good.test/to-private' },
      ],
    );
    assert.deepEqual(answers.slice(0, 2), [`hello from ${SECOND}`, 'ENOTFOUND']);
    assert.match(answers[2] as string, /^200 page of/);
    assert.equal(answers[3], 'ECONNRESET');
  });

  test('a list: its names, wildcards, addresses and ports, and nothing else', async () => {
    const { answers, log: said } = await run(
      ['good.test:443', '*.wild.test', '203.0.113.8/32:8443', FIRST_V6],
      [
        { connect: 'good.test', port: 443 },
        { connect: 'good.test', port: 8443 },
        { connect: 'api.wild.test', port: 5432 },
        { lookup: 'deep.api.wild.test' },
        { lookup: 'wild.test' },
        { connect: FIRST_V6, port: 8443 },
        { lookup: 'host.test' },
        { lookup: 'secret-as-a-name.attacker.test' },
      ],
    );
    assert.match(answers[0] as string, /^hello/);
    assert.match(answers[2] as string, /^hello/);
    assert.deepEqual(answers.slice(3), [SECOND, 'ENOTFOUND', `hello from ${FIRST_V6}`, 'ENOTFOUND', 'ENOTFOUND']);
    assert.match(
      said.join('\n'),
      /name 'wild.test' was refused to function 'hello': the name is not in its list; add 'wild.test' to `egress`/,
    );
    const unpinned = await run(
      ['203.0.113.8/32:8443'],
      [
        { connect: SECOND, port: 8443 },
        { connect: SECOND, port: 443 },
        { connect: FIRST, port: 8443 },
      ],
    );
    assert.deepEqual(unpinned.answers, [`hello from ${SECOND}`, 'ECONNRESET', 'ECONNRESET']);
    assert.match(unpinned.log.join('\n'), /203\.0\.113\.8 port 443 was refused.*add '203\.0\.113\.8:443' to `egress` in virga.yaml/);
  });

  test('a private range that the operator opened is reached by who names it, and by nobody else', async () => {
    const attempts: Attempt[] = [
      { connect: PRIVATE, port: 5432 },
      { connect: 'private.test', port: 5432 },
    ];
    const hello = `hello from ${PRIVATE}`;
    assert.deepEqual((await run([PRIVATE, 'private.test:5432'], attempts)).answers, [hello, hello]);
    assert.deepEqual((await run('internet', attempts)).answers, ['ECONNRESET', 'ENOTFOUND']);
  });

  test('none: nothing is reached, and the log says what was tried', async () => {
    const { answers, log: said } = await run('none', [{ connect: FIRST, port: 443 }, { lookup: 'good.test' }]);
    assert.deepEqual(answers, ['ECONNRESET', 'ENOTFOUND']);
    assert.match(said[0]!, /203\.0\.113\.7 port 443 was refused to function 'hello': its egress is none; set `egress: internet`/);
  });

  test('UDP other than DNS is refused at once', async () => {
    const { answers } = await run('internet', [
      { udp: FIRST, port: 443 },
      { udp: FIRST_V6, port: 443 },
      { udp: PRIVATE, port: 123 },
    ]);
    for (const answer of answers) assert.match(answer as string, /^E(PERM|CONNREFUSED|ACCES)$/);
  });

  test('a connection made before there is a policy waits for it, and without one is refused', async () => {
    const attempt = JSON.stringify([{ connect: FIRST, port: 443 }] satisfies Attempt[]);
    const [first, second] = [await networks.take(), await networks.take()];
    const early = await start(first, GUEST, attempt);
    const never = await start(second, GUEST, attempt);
    await sleep(300);
    first.assign(tenant('internet'), () => {});
    await Promise.all([early.sandbox.exited, never.sandbox.exited]);
    first.release();
    second.release();
    assert.equal(early.output().trim(), JSON.stringify(`hello from ${FIRST}`));
    assert.equal(never.output().trim(), '"ECONNRESET"');
  });

  test('two sandboxes do not reach each other', async () => {
    const first = await networks.take();
    first.assign(tenant('internet'), () => {});
    const { sandbox, output } = await start(
      first,
      `require('net').createServer((s) => s.end('mine')).listen(9000, '::', () => console.log('up'))`,
    );
    while (output() === '') await sleep(5);
    const { answers } = await run('internet', [
      { connect: '127.0.0.1', port: 9000 },
      { connect: '::1', port: 9000 },
      { connect: HOST, port: 9000 },
    ]);
    assert.deepEqual(answers, ['ECONNREFUSED', 'ECONNREFUSED', 'ECONNRESET']);
    await sandbox.kill();
    first.release();
  });

  test('more connections than a sandbox may have are refused and told', async () => {
    const oneByOne = Array.from({ length: 6 }, (): Attempt => ({ connect: FIRST, port: 443 }));
    assert.ok((await run('internet', oneByOne)).answers.every((answer) => answer === `hello from ${FIRST}`));
    const network = await networks.take();
    const said: string[] = [];
    network.assign(tenant('internet'), (_level, text) => said.push(text));
    const crowd = `
      let [greeted, refused] = [0, 0];
      const one = () => { if (greeted + refused === 7) { console.log(greeted); process.exit(0); } };
      for (let i = 0; i < 7; i++) require('net').connect(443, '${FIRST}').on('data', () => { greeted++; one(); }).on('error', () => { refused++; one(); });`;
    const { sandbox, output } = await start(network, crowd);
    await sandbox.exited;
    network.release();
    assert.equal(output().trim(), '4', said.join('\n'));
    assert.match(said.join('\n'), /4 connections are open, the most that one sandbox may have/);
  });

  test('a flood of queries or connections is refused by the kernel, and the network goes on for others', async () => {
    const [flooder, other] = [await networks.take(), await networks.take()];
    for (const network of [flooder, other]) network.assign(tenant('internet'), () => {});
    const flood = `
      const socket = require('dgram').createSocket('udp4');
      let [refused, left] = [0, 20000];
      const one = (error) => { if (error) refused++; if (--left === 0) { console.log(refused > 10000 ? 'refused' : refused); process.exit(0); } };
      for (let i = 0; i < 20000; i++) socket.send('noise', 53, '127.0.0.1', one);`;
    const { sandbox, output } = await start(flooder, flood);
    const calm = await start(other, GUEST, JSON.stringify([{ lookup: 'api.wild.test' }, { connect: FIRST, port: 443 }]));
    await Promise.all([sandbox.exited, calm.sandbox.exited]);
    flooder.release();
    other.release();
    assert.equal(output().trim(), 'refused');
    assert.equal(calm.output(), `"${SECOND}"\n"hello from ${FIRST}"\n`);
  });

  test('a namespace is used again, and nothing of its last tenant is left', async () => {
    const paths = new Set<string>();
    for (let n = 0; n < 12; n++) {
      const network = await networks.take();
      paths.add(network.path);
      network.assign(tenant('internet'), () => {});
      network.release();
    }
    assert.ok(paths.size <= 6, `${paths.size} namespaces`);
    for (let n = 0; n < 6; n++) assert.deepEqual((await run('none', [{ connect: FIRST, port: 443 }])).answers, ['ECONNRESET']);
  });

  test('a relay that is killed is replaced, and sandboxes that run go on reaching the network', async () => {
    const old = relays();
    assert.equal(old.length, 1);
    const network = await networks.take();
    network.assign(tenant([FIRST]), () => {});
    const { sandbox, output } = await start(
      network,
      `const go = () => require('net').connect(443, '${FIRST}').on('error', () => setTimeout(go, 20)).on('data', (data) => { console.log(String(data)); process.exit(0); });
       console.log('up'); process.stdout.write('', () => setTimeout(go, 300));`,
    );
    while (output() === '') await sleep(5);
    process.kill(old[0]!, 'SIGKILL');
    await sandbox.exited;
    network.release();
    assert.equal(output(), `up\nhello from ${FIRST}\n`);
    assert.notDeepEqual(relays(), old);
    assert.match(log.join('\n'), /error the relay of sandboxes' connections ended \(SIGKILL\)/);
    assert.deepEqual((await run('internet', [{ connect: FIRST, port: 443 }])).answers, [`hello from ${FIRST}`]);
  });

  test('when the networks are closed, nothing of them is left', async () => {
    const options = { connectionsPerSandboxMax: 1, connectionsMax: 1, opened: [], openPort: null, resolvers: null };
    const old = relays();
    const other = await SandboxNetworks.open({ ...options, spare: 1, max: 2, log: () => {} });
    const mine = relays().filter((pid) => !old.includes(pid));
    const held = [await other.take(), await other.take()].map(({ path }) => readlinkSync(path));
    assert.deepEqual(
      held.map((namespace) => openHere().includes(namespace)),
      [true, true],
    );
    await other.close();
    assert.ok(mine.length > 0 && !relays().some((pid) => mine.includes(pid)));
    assert.deepEqual(
      held.map((namespace) => openHere().includes(namespace)),
      [false, false],
    );
    await assert.rejects(other.take());
  });

  function relays(): number[] {
    return descendants(process.pid).filter((pid) => commandOf(pid).includes('network/relay.ts'));
  }
}

function tenant(egress: Egress): NetworkPolicy {
  return { project: 'p', function: 'hello', version: 1, egress };
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}

/** What the descriptors of this process are of. */
function openHere(): string[] {
  return readdirSync('/proc/self/fd').map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return '';
    }
  });
}
