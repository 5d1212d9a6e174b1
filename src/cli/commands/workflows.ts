// `virga workflows`: what workflows a project has, their runs, and one run step by step; starts, sends to, cancels and retries runs.
import { readFileSync, statSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import type { RunItem, RunState, StartedRun, WorkflowRuns } from '../../../sdk/src/workflow-runs.ts';
import { RUN_STATES } from '../../protocol/workflow-api.ts';
import { actionOf } from '../actions.ts';
import type { Action } from '../actions.ts';
import type { CommandContext, CommandDefinition } from '../command.ts';
import { UsageError } from '../failure.ts';
import { agoText } from '../phrases.ts';
import { checkedName, projectOf } from '../project.ts';
import { runText, stateText, untilText } from '../run-text.ts';
import { connect } from '../server.ts';
import { suggestion } from '../suggest.ts';
import { table } from '../table.ts';
import type { Terminal } from '../terminal.ts';
import { wholeNumber } from '../values.ts';

interface Options {
  data?: string;
  id?: string;
  project?: string;
  state?: string;
  version?: string;
  wait?: boolean;
}

const ACTIONS = {
  list: { words: ['a workflow'], needed: 0, options: ['state'] },
  show: { words: ['a workflow', 'a run'], needed: 2 },
  start: { words: ['a workflow'], needed: 1, options: ['data', 'id', 'wait'] },
  send: { words: ['a workflow', 'a run', 'the name of an event'], needed: 3, options: ['data', 'id'] },
  cancel: { words: ['a workflow', 'a run'], needed: 2 },
  retry: { words: ['a workflow', 'a run'], needed: 2, options: ['version'] },
} as const satisfies Record<string, Action>;

const RUNS_SHOWN = 50;
const WAIT_FIRST_MS = 50;
const WAIT_LAST_MS = 2_000;

export const command: CommandDefinition<Options> = {
  define(cli: Command) {
    cli
      .argument('[action]', Object.keys(ACTIONS).join(', '))
      .argument('[words...]', 'the workflow, the run, the event')
      .option('-d, --data <json>', 'of start: the input; of send: the data of the event. JSON, @FILE, or - for standard input')
      .option('--id <id>', 'of start: the id of the run; of send: of the event. The same is taken once')
      .option('-p, --project <name>', 'the project; without it, the one of the virga.yaml here')
      .option('--state <state>', `of list: only runs in this state (${RUN_STATES.join(', ')})`)
      .option('-v, --version <number>', 'of retry: go on with the code of this version')
      .option('--wait', 'of start: until the run has ended; prints its result');
  },
  examples: [
    'virga workflows',
    'virga workflows list signup --state waiting',
    'virga workflows start signup --data \'{"mail":"ada@example.com"}\' --id user-17',
    'virga workflows start report --wait',
    'virga workflows show signup user-17',
    'virga workflows send signup user-17 confirmed --data \'{"by":"mail"}\'',
    'virga workflows cancel signup user-17',
    'virga workflows retry signup user-17 --version 8',
  ],
  notes:
    'A run that failed goes on from the step whose error ended it: what ended before that is not run again. With --version it goes on with other code, which has to take the same steps up to there.',
  async run({ terminal, settings, input }: CommandContext, given, options): Promise<number | void> {
    const { name: action, words } = actionOf('workflows', ACTIONS, { given, options });
    const [workflow, run, event] = words;
    if (workflow !== undefined) checkedName(workflow, 'the name of the workflow');
    const client = connect(settings);
    const project = await projectOf(client, options.project);
    const workflows = client.workflows(project);
    if (action === 'list' && workflow === undefined) {
      const items = await Array.fromAsync(workflows.list());
      if (items.length === 0) terminal.note('There is no workflow yet: say `workflow: true` of a function in virga.yaml.');
      const rows = items.map(({ name, version, runs }) => [
        name,
        version === null ? 'removed' : `v${version}`,
        ...(['running', 'sleeping', 'waiting', 'succeeded', 'failed'] as const).map((state) =>
          String(runs[state] + (state === 'running' ? runs.pending : 0)),
        ),
      ]);
      const headings = ['workflow', 'version', '>running', '>sleeping', '>waiting', '>succeeded', '>failed'];
      terminal.result(items, () => (rows.length === 0 ? '' : table(headings, rows, (heading) => terminal.paint('dim', heading))));
      return;
    }
    switch (action) {
      case 'list': {
        const { items, next } = await workflows.runs(workflow!, { state: stateOf(options.state) }).page({ limit: RUNS_SHOWN });
        if (items.length === 0) terminal.note(`There is no run${options.state === undefined ? '' : ` that is ${options.state}`}.`);
        terminal.result(items, () => runsText(items, terminal));
        if (next !== null) terminal.note(`These are the newest ${RUNS_SHOWN}.`);
        return;
      }
      case 'show': {
        const detail = await workflows.run(workflow!, run!);
        for (let next = detail.next; next !== null;) {
          const page = await workflows.run(workflow!, run!, { after: next });
          detail.steps.push(...page.steps);
          ({ next } = page);
        }
        detail.next = null;
        terminal.result(detail, () => runText(detail, terminal));
        return;
      }
      case 'start': {
        const started = await workflows.start(workflow!, await dataOf(options.data, input), { id: options.id });
        if (options.wait === true) return await waitFor(workflows, started, terminal);
        terminal.result(started, () => started.id);
        terminal.note(
          started.started
            ? `It has begun, with version ${started.version}; \`virga workflows show ${workflow} ${started.id}\` shows it step by step.`
            : 'There was a run of this id, and it goes on as it is.',
        );
        return;
      }
      case 'send': {
        const sent = await workflows.send(workflow!, run!, { name: event!, data: await dataOf(options.data, input), id: options.id });
        terminal.result(sent, () => `${event} is sent to ${run}`);
        return;
      }
      case 'cancel': {
        const changed = await workflows.cancel(workflow!, run!);
        terminal.result(changed, () => `${run} is cancelled`);
        return;
      }
      case 'retry': {
        const version =
          options.version === undefined ? undefined : wholeNumber(options.version, '--version', { min: 1, max: 1_000_000_000 });
        const changed = await workflows.retry(workflow!, run!, { version });
        terminal.result(changed, () => `${run} goes on`);
      }
    }
  },
};

/** Prints the result alone; the exit status says whether there is one. */
async function waitFor(workflows: WorkflowRuns, { workflow, id }: StartedRun, terminal: Terminal): Promise<number> {
  using _ = terminal.progress(`waiting for ${id}`);
  for (let pauseMs = WAIT_FIRST_MS; ; pauseMs = Math.min(WAIT_LAST_MS, pauseMs * 2)) {
    const run = await workflows.run(workflow, id);
    if (run.endedAt === null) {
      await sleep(pauseMs);
      continue;
    }
    terminal.result(run, () => (run.result === undefined ? '' : JSON.stringify(run.result)));
    if (run.state === 'succeeded') return 0;
    terminal.note(`The run ${run.state === 'failed' ? `failed: ${run.error?.name}: ${run.error?.message}` : `is ${run.state}`}`);
    return 1;
  }
}

function runsText(items: readonly RunItem[], terminal: Terminal): string {
  if (items.length === 0) return '';
  const rows = items.map((item) => [
    item.id,
    stateText(item.state, terminal),
    `v${item.version}`,
    agoText(item.createdAt),
    item.wakeAt === null ? '' : untilText(item.wakeAt),
    item.error === null ? '' : `${item.error.name}: ${item.error.message}`.replaceAll(/\s+/g, ' ').slice(0, 60),
  ]);
  return table(['run', 'state', 'version', 'started', 'next wake-up', 'error'], rows, (heading) => terminal.paint('dim', heading));
}

function stateOf(given: string | undefined): RunState | undefined {
  const state = RUN_STATES.find((one) => one === given);
  if (given === undefined || state !== undefined) return state;
  throw new UsageError(`--state is '${given}'${suggestion(given, RUN_STATES) || `; expected one of ${RUN_STATES.join(', ')}`}`);
}

const DATA_BYTES_MAX = 1024 * 1024;

/** undefined: nothing is given. */
async function dataOf(given: string | undefined, input: NodeJS.ReadStream): Promise<unknown> {
  if (given === undefined) return undefined;
  let [json, what] = [given, '--data'];
  if (given === '-') [json, what] = [await text(input), 'standard input'];
  else if (given.startsWith('@')) {
    const file = given.slice(1);
    const found = statSync(file, { throwIfNoEntry: false });
    if (!found?.isFile()) throw new UsageError(`--data: there is no file ${JSON.stringify(file)}`);
    if (found.size > DATA_BYTES_MAX) throw new UsageError(`--data: ${file} has ${found.size} bytes; at most ${DATA_BYTES_MAX} are read`);
    [json, what] = [readFileSync(file, 'utf8'), file];
  }
  try {
    return JSON.parse(json);
  } catch (error) {
    throw new UsageError(`${what} is no JSON: ${(error as Error).message}; a text stands in quotes, such as '"hello"'`);
  }
}
