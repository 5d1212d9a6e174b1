// `virga keys`: the API keys of a project. A key is printed once, when it is made or rotated; the server has only its hash.
import type { Command } from 'commander';
import type { KeyAnswer, KeyItem, VirgaControl } from '../../../sdk/src/control.ts';
import type { CommandContext, CommandDefinition } from '../command.ts';
import { UsageError } from '../failure.ts';
import { agoText } from '../phrases.ts';
import { projectOf } from '../project.ts';
import { connect } from '../server.ts';
import { suggestion } from '../suggest.ts';
import { table } from '../table.ts';
import type { Terminal } from '../terminal.ts';

interface Options {
  project?: string;
  name?: string;
  scopes?: string;
  plan?: string;
  expires?: string;
  routes?: string[];
  grace?: string;
}

interface Asked {
  client: VirgaControl;
  project: string;
  terminal: Terminal;
  options: Options;
}

const ACTIONS = ['create', 'list', 'rotate', 'revoke'] as const;
type Action = (typeof ACTIONS)[number];
/** What only some take. */
const FOR: Record<'name' | 'scopes' | 'plan' | 'expires' | 'routes' | 'grace', Action> = {
  name: 'create',
  scopes: 'create',
  plan: 'create',
  expires: 'create',
  routes: 'create',
  grace: 'rotate',
};

export const command: CommandDefinition<Options> = {
  define(cli: Command) {
    cli
      .argument('<action>', ACTIONS.join(', '))
      .argument('[key]', 'of rotate and revoke: its id, e.g. vk_4f8h2m6qj0')
      .option('-p, --project <name>', 'the project; without it, the one of the virga.yaml here')
      .option('--name <text>', 'create: what it is for')
      .option('--scopes <list>', 'create: its scopes, with commas between')
      .option('--plan <name>', 'create: the usage plan that it is held to')
      .option('--expires <duration>', 'create: how long it is accepted, e.g. 90d; without it, until it is revoked')
      .option('--routes <route...>', "create: routes that it may call, e.g. 'GET /notes/{id}' or '/admin/*'; without it, all")
      .option('--grace <duration>', 'rotate: how long the old secret is accepted as well; without it 24h');
  },
  examples: [
    "virga keys create --name 'Acme Ltd' --scopes notes:read --expires 90d",
    "virga keys create --project tour --routes 'GET /notes' --json",
    'virga keys list',
    'virga keys rotate vk_4f8h2m6qj0 --grace 1h',
    'virga keys revoke vk_4f8h2m6qj0',
  ],
  notes:
    'Keys are for routes whose `auth` in virga.yaml takes them: `auth: {keys: {}}`. A key is shown once; keep it where secrets are kept.',
  async run(context: CommandContext, [action, key], options) {
    const known = ACTIONS.find((one) => one === action);
    if (known === undefined)
      throw new UsageError(`there is no action '${action}'${suggestion(action!, ACTIONS) || `; expected one of ${ACTIONS.join(', ')}`}`);
    for (const [option, of] of Object.entries(FOR) as [keyof typeof FOR, Action][])
      if (options[option] !== undefined && of !== known) throw new UsageError(`--${option} is for \`virga keys ${of}\``);
    const named = known === 'rotate' || known === 'revoke';
    if (named !== (key !== undefined))
      throw new UsageError(named ? `which key? \`virga keys list\` lists them` : `\`virga keys ${known}\` takes no key`);
    if (key !== undefined && !/^vk_[0-9a-z]{10}$/.test(key))
      throw new UsageError('a key is named by its id, vk_ and 10 characters, never by the whole key');
    const client = connect(context.settings);
    const asked = { client, project: await projectOf(client, options.project), terminal: context.terminal, options };
    if (known === 'create') await create(asked);
    else if (known === 'list') await list(asked);
    else if (known === 'rotate') await rotate(asked, key!);
    else await revoke(asked, key!);
  },
};

async function create({ client, project, terminal, options }: Asked): Promise<void> {
  const { name, scopes, plan, expires, routes } = options;
  const given = scopes
    ?.split(',')
    .map((scope) => scope.trim())
    .filter((scope) => scope !== '');
  show(await client.createKey(project, { name, scopes: given, plan, expires, routes }), terminal);
}

async function rotate({ client, project, terminal, options }: Asked, id: string): Promise<void> {
  const answer = await client.rotateKey(project, id, { grace: options.grace });
  show(answer, terminal);
  if (answer.previousUntil !== null) terminal.note(`The old secret is accepted until ${answer.previousUntil}.`);
}

async function revoke({ client, project, terminal }: Asked, id: string): Promise<void> {
  const answer = await client.revokeKey(project, id);
  terminal.result(answer, () => `${id} is revoked`);
  if (answer.warning !== undefined) terminal.note(`${terminal.paintError('yellow', 'warning:')} ${answer.warning}`);
}

async function list({ client, project, terminal }: Asked): Promise<void> {
  const keys = await Array.fromAsync(client.keys(project));
  if (keys.length === 0) terminal.note('There is no API key yet; `virga keys create` makes one.');
  terminal.result(keys, () => {
    if (keys.length === 0) return '';
    const rows = keys.map((key: KeyItem) => [
      key.id,
      key.name,
      key.scopes.join(','),
      key.plan ?? '',
      key.routes?.join(', ') ?? 'all',
      agoText(key.createdAt),
      key.lastUsedAt === null ? 'never' : agoText(key.lastUsedAt),
      key.expiresAt?.slice(0, 10) ?? 'never',
    ]);
    return table(['key', 'name', 'scopes', 'plan', 'routes', 'made', 'used', 'expires'], rows, (text) => terminal.paint('dim', text));
  });
}

/** The key alone on stdout, so that it can be piped into where it belongs. */
function show(answer: KeyAnswer, terminal: Terminal): void {
  terminal.result(answer, () => answer.key);
  terminal.note('This is the only time that the key is shown.');
  if (answer.warning !== undefined) terminal.note(`${terminal.paintError('yellow', 'warning:')} ${answer.warning}`);
}
