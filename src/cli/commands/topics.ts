// `virga topics`: the topics of a project: list, show, publish.
import type { Command } from 'commander';
import { text as wholeText } from 'node:stream/consumers';
import type { TopicItem, VirgaControl } from '../../../sdk/src/control.ts';
import { actionOf } from '../actions.ts';
import type { Action } from '../actions.ts';
import type { CommandDefinition } from '../command.ts';
import { UsageError } from '../failure.ts';
import { backlogText, stateText } from '../message-text.ts';
import { projectOf } from '../project.ts';
import { connect } from '../server.ts';
import { table } from '../table.ts';
import type { Terminal } from '../terminal.ts';
import { attributesOf } from '../values.ts';

interface Options {
  project?: string;
  attribute?: string[];
  subject?: string;
  id?: string;
}

const TOPIC = 'the name of a topic';
const ACTIONS = {
  list: { words: [], needed: 0 },
  show: { words: [TOPIC], needed: 1 },
  publish: { words: [TOPIC, 'a text'], needed: 1, options: ['attribute', 'subject', 'id'] },
} satisfies Record<string, Action>;

export const command: CommandDefinition<Options> = {
  define(cli: Command) {
    cli
      .argument('[action]', 'list (without it), show or publish')
      .argument('[words...]', 'the topic; publish: and the text (without it, standard input)')
      .option('-a, --attribute <key=value...>', 'publish: an attribute of the message')
      .option('--subject <text>', 'publish: what it is about')
      .option('--id <id>', 'publish: its id, instead of a new one')
      .option('-p, --project <name>', 'the project; without it, the one of the virga.yaml here');
  },
  examples: ['virga topics', 'virga topics show prices', `virga topics publish prices '{"article": 7, "price": 12}' --attribute kind=book`],
  notes: 'What is published goes to all subscriptions whose filter fits it: functions, queues and webhooks.',
  async run({ terminal, settings, input }, given, options) {
    const { name, words } = actionOf('topics', ACTIONS, { given, options });
    const client = connect(settings);
    const project = await projectOf(client, options.project);
    const [topic, text] = words;
    if (name === 'publish') {
      if (text === undefined && input.isTTY) throw new UsageError('publish needs a text, or a message on standard input');
      const body = text ?? (await wholeText(input)).replace(/\r?\n$/, '');
      const message = { body, subject: options.subject, attributes: attributesOf(options.attribute), id: options.id };
      const [published] = (await client.publishMessages(project, topic!, [message])).published;
      terminal.result(published, () => `${published!.id} goes to ${published!.deliveries} of its subscriptions`);
      if (published!.deliveries === 0) terminal.note(`No subscription of '${topic}' has a filter that it fits.`);
    } else if (name === 'show') {
      const found = await client.topic(project, topic!);
      terminal.result(found, () => subscriptionsText([found], terminal));
    } else await list({ client, project, terminal });
  },
};

async function list({ client, project, terminal }: { client: VirgaControl; project: string; terminal: Terminal }): Promise<void> {
  const topics = await Array.fromAsync(client.topics(project));
  if (topics.length === 0) terminal.note(`The project '${project}' has no topics; \`topics\` in virga.yaml declares them.`);
  terminal.result(topics, () => (topics.length === 0 ? '' : subscriptionsText(topics, terminal)));
}

function subscriptionsText(topics: readonly TopicItem[], terminal: Terminal): string {
  const rows = topics.flatMap((topic) => {
    if (topic.subscriptions.length === 0) return [[topic.name, 'nobody is subscribed', '', '', '']];
    return topic.subscriptions.map((one, index) => [
      index === 0 ? topic.name : '',
      one.function !== null ? `function ${one.function}` : one.queue !== null ? `queue ${one.queue}` : `webhook ${one.webhook!.name}`,
      one.filter === null ? 'all' : JSON.stringify(one.filter),
      one.state === 'removed' ? `${stateText('removed', terminal)}, ${backlogText(one)}` : backlogText(one),
      one.deadLettersTo === null ? String(one.deadLetters ?? '') : `→ ${one.deadLettersTo}`,
    ]);
  });
  return table(['topic', 'goes to', 'filter', 'waiting', '>dead letters'], rows, (text) => terminal.paint('dim', text));
}
