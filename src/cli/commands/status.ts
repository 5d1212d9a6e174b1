// `virga status`: the node, its roles and what is running. Says loudly when sandboxes isolate nothing.
import type { NodeStatus } from '../../../sdk/src/control.ts';
import type { CommandDefinition } from '../command.ts';
import { bytesText } from '../../lib/units.ts';
import { backlogText } from '../message-text.ts';
import { agoText, countText, uptimeText } from '../phrases.ts';
import { findServer, connect } from '../server.ts';
import { table } from '../table.ts';
import type { DriverStats, RuntimeStats } from '../../protocol/stats.ts';
import type { Terminal } from '../terminal.ts';

export const command: CommandDefinition = {
  define() {},
  examples: ['virga status', 'virga status --json'],
  notes: 'The exit status is 1 when the edge does not answer.',
  async run({ terminal, settings }) {
    const { from } = findServer(settings);
    const status = await connect(settings).status();
    terminal.result(status, () => text(status, from, terminal));
    return status.edge === null ? 1 : 0;
  },
};

function driverRows(name: string, { driver, runtime, enforcement }: DriverStats, terminal: Terminal): [string, string][] {
  const bad = (value: string): string => terminal.paint(['red', 'bold'], value);
  const { notes, ...enforced } = enforcement;
  const walls = Object.entries(enforced).map(([limit, by]) => `${limit} ${by ?? bad('NOT ENFORCED')}`);
  const what =
    enforced.isolation === null
      ? bad(`${driver}: ISOLATES NOTHING, functions can read and change this machine`)
      : `${driver}${runtime === null ? '' : ` (${runtime})`}`;
  return [[name, what], ['', walls.join(', ')], ...notes.map((note): [string, string] => ['', terminal.paint('dim', note)])];
}

function runtimesText(runtimes: RuntimeStats[]): string {
  const there = runtimes.filter(({ remedy }) => remedy === null);
  const absent = runtimes.filter(({ remedy }) => remedy !== null);
  const names = there.map(({ name, version }) => (version === null ? name : `${name} ${version}`)).join(', ');
  return absent.length === 0 ? names : `${names}; not installed: ${absent.map(({ name }) => name).join(', ')}`;
}

function eventsText({ events }: NodeStatus, bad: (value: string) => string): string {
  const { queues, deadLetters, oldestAt } = events;
  const oldest = oldestAt === null ? '' : `, the oldest sent ${agoText(oldestAt)}`;
  const dead = deadLetters === 0 ? 'no dead letters' : bad(`${deadLetters} dead letters`);
  return `${queues} queues, ${backlogText(events)}${oldest}; ${dead}`;
}

function text(status: NodeStatus, from: string, terminal: Terminal): string {
  const { edge, postgres, urls } = status;
  const bad = (value: string): string => terminal.paint(['red', 'bold'], value);
  const rows: [string, string][] = [
    ['node', `${status.node}, Virga ${status.version}, up ${uptimeText(status.uptimeS)} (found by ${from})`],
    ['urls', `edge ${urls.edge}, control ${urls.control}`],
    ['serves', `${countText(status.projects, 'project')}, ${countText(status.functions, 'function')}`],
    ['postgres', `${postgres.version}, ${bytesText(postgres.databaseBytes)}, answers in ${postgres.roundTripMs.toFixed(2)} ms`],
  ];
  rows.push(['events', eventsText(status, bad)]);
  if (edge === null) rows.push(['edge', bad('does not answer')]);
  else {
    const { records, sandbox } = edge;
    rows.push([
      'edge',
      `up ${uptimeText(edge.uptimeS)}, ${bytesText(edge.residentBytes)}, ${edge.inFlight} calls in flight, ${edge.webSockets} WebSockets, deployment ${edge.deployment}`,
    ]);
    const dropped = records.dropped.invocations + records.dropped.logLines;
    rows.push([
      'records',
      `${records.written} written, ${records.pending} waiting${dropped === 0 ? '' : `, ${bad(`${records.dropped.invocations} invocations and ${records.dropped.logLines} log lines dropped`)}`}`,
    ]);
    if (sandbox === null) rows.push(['sandboxes', bad('the launcher is not connected')]);
    else {
      rows.push(...driverRows('sandboxes', sandbox, terminal));
      if (sandbox.strong === null) rows.push(['strong', `not offered: ${sandbox.strongReason ?? 'no reason given'}`]);
      else if (sandbox.strong.runtime !== sandbox.runtime) rows.push(...driverRows('strong', sandbox.strong, terminal));
      else rows.push(['strong', 'the same']);
      rows.push(['runtimes', runtimesText(sandbox.runtimes)]);
    }
  }
  if (edge !== null && edge.blanks.length > 0) {
    const blanks = edge.blanks.map((blank) => `${blank.ready + blank.booting} ${blank.runtime} of ${blank.memoryMiB} MiB`);
    rows.push(['blanks', blanks.join(', ')]);
  }
  const lines = [
    table(
      [],
      rows.map(([name, value]) => [terminal.paint('dim', name), value]),
    ),
  ];
  if (edge !== null && edge.functions.length > 0) {
    const running = edge.functions.map((fn) => [
      `${fn.project}/${fn.function}@${fn.version}`,
      fn.runtime,
      String(fn.starting),
      String(fn.idle),
      String(fn.busy),
      String(fn.draining),
      String(fn.queued),
      String(fn.inFlight),
    ]);
    lines.push(
      '',
      table(['instances of', 'runtime', '>starting', '>idle', '>busy', '>draining', '>queued', '>in flight'], running, (heading) =>
        terminal.paint('dim', heading),
      ),
    );
  }
  return lines.join('\n');
}
