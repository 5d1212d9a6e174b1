// `virga invocation ID`: one call: what was asked, how it ended, where its time went, and its log.
import type { Command } from 'commander';
import { VirgaApiError } from '../../../sdk/src/control.ts';
import type { AsyncDetail, InvocationDetail, InvocationRecord, VirgaControl } from '../../../sdk/src/control.ts';
import { asyncText } from '../async-text.ts';
import type { CommandDefinition } from '../command.ts';
import { logLineText, printable } from '../log-text.ts';
import { bytesText } from '../../lib/units.ts';
import { msText } from '../phrases.ts';
import { projectOf } from '../project.ts';
import { receiptBars, totalMs } from '../receipt-text.ts';
import { connect } from '../server.ts';
import { table } from '../table.ts';
import type { Terminal } from '../terminal.ts';
import { invocationId } from '../values.ts';

const BAR_COLUMNS = 40;

export const command: CommandDefinition<{ project?: string; cancel?: true }> = {
  define(cli: Command) {
    cli
      .argument('<id>', 'the invocation, inv_…')
      .option('--cancel', 'cancel it: an asynchronous one that waits')
      .option('-p, --project <name>', 'the project; without it, the one of the virga.yaml here');
  },
  examples: ['virga invocation inv_01k9x3v5m8q2r7t4w6y9z0a1b2', 'virga invocation inv_01k9x3v5m8q2r7t4w6y9z0a1b2 --cancel'],
  async run({ terminal, settings }, [id], options) {
    const asked = invocationId(id!, 'the id');
    const client = connect(settings);
    const project = await projectOf(client, options.project);
    if (options.cancel === true) {
      const cancelled = await client.async.cancel(project, asked);
      terminal.result(cancelled, () => `${cancelled.id} is cancelled`);
      return;
    }
    try {
      const detail = await client.invocation(project, asked);
      terminal.result(detail, () => text(detail, terminal));
    } catch (error) {
      // Asynchronous ones have a record for each attempt, and ids of their own.
      const detail = await asynchronous(client, { project, id: asked }, error);
      terminal.result(detail, () => asyncText(detail, terminal));
    }
  },
};

async function asynchronous(
  client: VirgaControl,
  { project, id }: { project: string; id: string },
  failure: unknown,
): Promise<AsyncDetail> {
  const isUnknown = (error: unknown): boolean => error instanceof VirgaApiError && error.code === 'invocation_not_found';
  if (!isUnknown(failure)) throw failure;
  try {
    return await client.async.read(project, id);
  } catch (error) {
    throw isUnknown(error) ? failure : error;
  }
}

function text({ invocation, logs, logsCut }: InvocationDetail, terminal: Terminal): string {
  const { receipt } = invocation;
  const outcome = terminal.paint(invocation.outcome === 'ok' ? 'green' : 'red', invocation.outcome);
  const rows = [
    ['function', `${invocation.project}/${invocation.function}, version ${invocation.version}`],
    ['request', invocation.request ?? invocation.trigger],
    ['outcome', `${outcome}${invocation.status === null ? '' : `, status ${invocation.status}`}`],
    ...(invocation.error === null ? [] : [['error', printable(invocation.error).replaceAll('\n', ' ')]]),
    ['started', new Date(invocation.startedAt).toISOString()],
    ['trace', invocation.traceId],
    ['instance', invocation.instance],
    ['memory', `${bytesText(invocation.peakMemoryBytes)} at its peak`],
    ['bytes', `${bytesText(invocation.bytesIn)} in, ${bytesText(invocation.bytesOut)} out`],
    ['billed', `${receipt.billedMs} ms`],
  ];
  const lines = [
    invocation.id,
    table(
      [],
      rows.map(([name, value]) => [`  ${terminal.paint('dim', name!)}`, value!]),
    ),
  ];
  lines.push(
    '',
    `${msText(totalMs(receipt))}, ${receipt.cold ? 'cold' : 'warm'}`,
    ...receiptBars(receipt, BAR_COLUMNS).map((line) => `  ${line}`),
  );
  if (invocation.explanation !== null) lines.push('', ...explanationLines(invocation.explanation, terminal));
  if (logs.length > 0) lines.push('', ...logs.map((line) => logLineText(line, terminal, { short: true, stdout: true })));
  if (logsCut) lines.push(terminal.paint('dim', `… and more: virga logs --invocation ${invocation.id} --limit 100000`));
  return lines.join('\n');
}

function explanationLines(
  { cause, limit, setting, facts, lastLines }: NonNullable<InvocationRecord['explanation']>,
  terminal: Terminal,
): string[] {
  const heading = limit === null ? cause : `${cause}, limit ${limit}`;
  const lines = [`${terminal.paint('bold', 'why')}: ${heading}`, ...facts.map((fact) => `  ${printable(fact).replaceAll('\n', '\n    ')}`)];
  if (setting !== null) lines.push(`  ${terminal.paint('green', `raise \`${setting}\` in virga.yaml`)}`);
  if (lastLines.length > 0) {
    lines.push(terminal.paint('dim', '  the last lines of its instance:'));
    lines.push(...lastLines.map((line) => `    ${printable(line).replaceAll('\n', '\n    ')}`));
  }
  return lines;
}
