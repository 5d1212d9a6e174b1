// `virga connections`: the WebSockets that the gateway holds for a project: list, send, close.
import type { Command } from 'commander';
import type { ConnectionItem } from '../../../sdk/src/control.ts';
import type { CommandDefinition } from '../command.ts';
import { UsageError } from '../failure.ts';
import { agoText } from '../phrases.ts';
import { projectOf } from '../project.ts';
import { connect } from '../server.ts';
import { suggestion } from '../suggest.ts';
import { table } from '../table.ts';
import { wholeNumber } from '../values.ts';

interface Options {
  project?: string;
  group?: string;
  all?: true;
  code?: string;
  reason?: string;
  limit: string;
}

const ACTIONS = ['list', 'send', 'close'];

export const command: CommandDefinition<Options> = {
  define(cli: Command) {
    cli
      .argument('[action]', 'list (without it), send or close')
      .argument('[words...]', 'send: the id of a connection, unless --group or --all says to whom, and the text; close: the id')
      .option('-g, --group <name>', 'list, send: those of a group')
      .option('-a, --all', 'send: to all of the project')
      .option('-n, --limit <count>', 'list: at most so many', '100')
      .option('--code <code>', 'close: 1000 (without it), or 3000 to 4999')
      .option('--reason <text>', 'close: what the client is told')
      .option('-p, --project <name>', 'the project; without it, the one of the virga.yaml here');
  },
  examples: [
    'virga connections --project chat',
    'virga connections send con_01k9z3e5g7h2j4k6m8n0p2q4r6 "tea is ready"',
    'virga connections send --group kitchen "tea is ready"',
    'virga connections close con_01k9z3e5g7h2j4k6m8n0p2q4r6 --reason "that is enough"',
  ],
  async run({ terminal, settings }, [action = 'list', ...given], options) {
    if (!ACTIONS.includes(action)) throw new UsageError(`'${action}' is none of ${ACTIONS.join(', ')}${suggestion(action, ACTIONS)}`);
    const words = given.flat().filter((word) => word !== undefined);
    const client = connect(settings);
    const project = await projectOf(client, options.project);
    if (action === 'send') {
      const toMany = options.group !== undefined || options.all === true;
      const [id, text] = toMany ? [undefined, words[0]] : words;
      if (text === undefined || words.length !== (toMany ? 1 : 2)) {
        throw new UsageError(
          `send needs ${toMany ? 'a text' : 'the id of a connection (or --group, or --all) and a text'}, in quotes if it has spaces`,
        );
      }
      const answer = await client.sendToConnections(project, { connection: id, group: options.group, all: options.all, text });
      terminal.result(answer, () => `sent to ${answer.sent}\n`);
    } else if (action === 'close') {
      const [id] = words;
      if (id === undefined || words.length !== 1)
        throw new UsageError('close needs the id of one connection; `virga connections` lists them');
      const code = options.code === undefined ? undefined : wholeNumber(options.code, '--code', { min: 1_000, max: 4_999 });
      await client.closeConnection(project, id, { code, reason: options.reason });
      terminal.result({ closed: id }, () => `closed ${id}\n`);
    } else {
      const limit = wholeNumber(options.limit, '--limit', { min: 1, max: 1_000 });
      const { items } = await client.connections(project, { group: options.group }).page({ limit });
      if (items.length === 0) terminal.note(`There are no such connections of '${project}'.`);
      terminal.result(items, () => (items.length === 0 ? '' : listText(items, (text) => terminal.paint('dim', text))));
    }
  },
};

function listText(items: ConnectionItem[], paint: (text: string) => string): string {
  const rows = items.map(({ id, route, client, connectedAt, groups, principal }) => [
    id,
    route,
    client,
    agoText(connectedAt),
    groups.join(', '),
    principal ?? '',
  ]);
  return table(['connection', 'route', 'client', 'since', 'groups', 'principal'], rows, paint);
}
