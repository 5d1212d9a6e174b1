// `virga invocations NAME`: the calls of a function, newest first.
import type { Command } from 'commander';
import type { AsyncItem, InvocationFilter, InvocationRecord } from '../../../sdk/src/control.ts';
import { asyncTable } from '../async-text.ts';
import type { CommandDefinition } from '../command.ts';
import { UsageError } from '../failure.ts';
import { clockText, msText } from '../phrases.ts';
import { checkedName, projectOf, requireFunction } from '../project.ts';
import { totalMs } from '../receipt-text.ts';
import { connect } from '../server.ts';
import { suggestion } from '../suggest.ts';
import { table } from '../table.ts';
import { since, wholeNumber } from '../values.ts';
import { ERRORS } from '../../protocol/errors.ts';

interface Options {
  project?: string;
  since?: string;
  outcome?: string;
  limit: string;
  async?: true;
}

export const command: CommandDefinition<Options> = {
  define(cli: Command) {
    cli
      .argument('<name>', 'the function')
      .option('-s, --since <time>', 'only calls since then: 90s, 10m, 2h, 7d ago, or a time')
      .option('-o, --outcome <outcome>', 'only these: ok, failed, or a code such as function_timeout')
      .option('-a, --async', 'the asynchronous ones that are kept, with those that wait')
      .option('-n, --limit <count>', 'at most so many', '20')
      .option('-p, --project <name>', 'the project; without it, the one of the virga.yaml here');
  },
  examples: [
    'virga invocations hello',
    'virga invocations hello --outcome failed --since 1h',
    'virga invocations hello --async',
    'virga invocations hello --json',
  ],
  async run({ terminal, settings }, [name], options) {
    const fn = checkedName(name!, 'the name of the function');
    const limit = wholeNumber(options.limit, '--limit', { min: 1, max: 10_000 });
    const filter = { since: since(options.since), outcome: outcomeOf(options.outcome) };
    const client = connect(settings);
    const project = await projectOf(client, options.project);
    if (options.async === true) {
      if (options.since !== undefined || options.outcome !== undefined)
        throw new UsageError('--since and --outcome do not go with --async');
      const items: AsyncItem[] = [];
      for await (const item of client.async.list(project, { function: fn })) {
        if (items.push(item) >= limit) break;
      }
      if (items.length === 0) {
        await requireFunction(client, project, fn);
        terminal.note(`There are no asynchronous calls of '${fn}'.`);
      }
      terminal.result(items, () => asyncTable(items, terminal));
      return;
    }
    const records: InvocationRecord[] = [];
    if (limit <= 1_000) records.push(...(await client.invocations(project, fn, filter).page({ limit })).items);
    else {
      for await (const record of client.invocations(project, fn, filter)) {
        if (records.length >= limit) break;
        records.push(record);
      }
    }
    if (records.length === 0) {
      await requireFunction(client, project, fn);
      terminal.note(`There are no such calls of '${fn}'.`);
    }
    terminal.result(records, () => {
      if (records.length === 0) return '';
      const rows = records.map((record) => [
        record.id,
        clockText(record.startedAt),
        String(record.version),
        record.request ?? record.trigger,
        terminal.paint(record.outcome === 'ok' ? 'green' : 'red', record.outcome),
        String(record.status ?? ''),
        record.receipt.cold ? 'cold' : '',
        msText(totalMs(record.receipt)),
        String(record.receipt.billedMs),
      ]);
      return table(['invocation', 'time', '>version', 'request', 'outcome', '>status', '', '>took', '>billed ms'], rows, (text) =>
        terminal.paint('dim', text),
      );
    });
  },
};

function outcomeOf(text: string | undefined): InvocationFilter['outcome'] {
  if (text === undefined || text === 'ok' || text === 'failed') return text;
  if (Object.hasOwn(ERRORS, text)) return text as keyof typeof ERRORS;
  throw new UsageError(
    `--outcome is ${JSON.stringify(text)}; expected ok, failed or a code of the error table${suggestion(text, ['ok', 'failed', ...Object.keys(ERRORS)])}`,
  );
}
