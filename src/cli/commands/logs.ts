// `virga logs [NAME]`: log lines, oldest first; with --follow until Ctrl-C. With --follow --json each line is one JSON
// document (NDJSON), since there is no end to wait for.
import type { Command } from 'commander';
import type { LogLine } from '../../../sdk/src/control.ts';
import type { CommandDefinition } from '../command.ts';
import { UsageError } from '../failure.ts';
import { logLineText } from '../log-text.ts';
import { checkedName, projectOf, requireFunction } from '../project.ts';
import { connect } from '../server.ts';
import { invocationId, since, wholeNumber } from '../values.ts';

interface Options {
  project?: string;
  follow?: boolean;
  since?: string;
  invocation?: string;
  limit?: string;
}

const LAST_DEFAULT = 100;
const LIMIT_MAX = 100_000;

export const command: CommandDefinition<Options> = {
  define(cli: Command) {
    cli
      .argument('[name]', 'the function; without it, all of the project')
      .option('-f, --follow', 'go on with new lines until Ctrl-C')
      .option('-s, --since <time>', 'only lines since then: 90s, 10m, 2h, 7d ago, or a time')
      .option('-i, --invocation <id>', 'only lines of this call')
      .option('-n, --limit <count>', `at most so many lines; without it and --since the last ${LAST_DEFAULT}`)
      .option('-p, --project <name>', 'the project; without it, the one of the virga.yaml here');
  },
  examples: ['virga logs', 'virga logs hello --since 10m', 'virga logs hello --follow', 'virga logs --follow --json | jq -r .text'],
  notes: 'With --follow and --json each line is one JSON document (NDJSON).',
  ownSignals: true,
  async run({ terminal, settings, signal }, [name], options) {
    const fn = name === undefined ? undefined : checkedName(name, 'the name of the function');
    const filter = {
      function: fn,
      invocation: options.invocation === undefined ? undefined : invocationId(options.invocation, '--invocation'),
      since: since(options.since),
    };
    const limit =
      options.limit === undefined ? undefined : wholeNumber(options.limit, '--limit', { min: 1, max: options.follow ? 1_000 : LIMIT_MAX });
    const client = connect(settings);
    const project = await projectOf(client, options.project);
    const text = (line: LogLine): string => logLineText(line, terminal, { short: fn !== undefined, stdout: true });
    if (options.follow) {
      if (filter.since !== undefined && limit !== undefined)
        throw new UsageError('--limit does not go with --since and --follow; give one of them');
      terminal.note(terminal.paintError('dim', `following ${fn ?? project}; Ctrl-C ends it`));
      for await (const line of client.followLogs(project, { ...filter, last: limit, signal }))
        terminal.out(terminal.json ? JSON.stringify(line) : text(line));
      return;
    }
    // Ctrl-C ends a long list, too.
    const lines: LogLine[] = [];
    if (filter.since === undefined && (limit ?? LAST_DEFAULT) <= 1_000) {
      lines.push(...(await client.logs(project, { ...filter, last: limit ?? LAST_DEFAULT }, { signal }).page()).items);
    } else {
      for await (const line of client.logs(project, filter, { signal })) {
        if (lines.length >= (limit ?? LIMIT_MAX)) {
          if (limit === undefined) terminal.note(`There are more than ${LIMIT_MAX} lines; narrow --since.`);
          break;
        }
        lines.push(line);
      }
    }
    if (lines.length === 0) {
      await requireFunction(client, project, fn);
      terminal.note(`There are no log lines${filter.since === undefined ? '' : ` since ${filter.since}`}.`);
    }
    terminal.result(lines, () => lines.map(text).join('\n'));
  },
};
