// `virga replay ID`: runs again what passed: a recorded event or request, a dead letter, an asynchronous invocation, a record of a stream.
// Invariant: stdout has what the function answered, or with --diff what differs, and nothing else.
import type { Command } from 'commander';
import type { Difference, ReplayAnswer } from '../../../sdk/src/control.ts';
import type { CommandDefinition } from '../command.ts';
import { printable } from '../log-text.ts';
import { checkedName, projectOf } from '../project.ts';
import { connect } from '../server.ts';
import type { Terminal } from '../terminal.ts';
import { wholeNumber } from '../values.ts';

interface Options {
  version?: string;
  function?: string;
  source?: string;
  diff?: true;
  project?: string;
}

export const command: CommandDefinition<Options> = {
  define(cli: Command) {
    cli
      .argument('<id>', 'of a recording, a dead letter, an asynchronous invocation; of a record of a stream its place, e.g. clicks/0:17')
      .option('-v, --version <number>', 'run it by this version instead of the one that is served')
      .option('-d, --diff', 'show how the answer differs from the recorded one, or else from that of the version that is served')
      .option('--function <name>', 'which function, where several got it; or any other')
      .option('--source <source>', 'which, where it passed several places, e.g. topic/prices')
      .option('-p, --project <name>', 'the project; without it, the one of the virga.yaml here');
  },
  examples: [
    'virga replay inv_01k9x3v5m8q2r7t4w6y9z0a1b2',
    'virga replay msg_01k9x3v5m8q2r7t4w6y9z0a1b2 --version 8',
    'virga replay inv_01k9x3v5m8q2r7t4w6y9z0a1b2 --version 8 --diff',
    'virga replay clicks/0:17 --function count',
  ],
  notes:
    'It is a real call, with all that the function does: mail that it sends is sent again. What it is made from stays as it is: a dead letter stays one. Where there is no recorded answer, --diff runs the version that is served too. The exit status is 1 when the function failed, or with --diff when the answers differ.',
  async run({ terminal, settings }, [id], options) {
    const version = options.version === undefined ? undefined : wholeNumber(options.version, '--version', { min: 1, max: 1_000_000_000 });
    const fn = options.function === undefined ? undefined : checkedName(options.function, '--function');
    const client = connect(settings);
    const project = await projectOf(client, options.project);
    let answer: ReplayAnswer;
    {
      using _ = terminal.progress(`running ${id!} again`);
      const request = { id: id!, version, function: fn, source: options.source, ...(options.diff === true ? { diff: true } : {}) };
      answer = await client.recordings.replay(project, request);
    }
    if (answer.redacted.length > 0) terminal.note(`The function did not get what was not kept: ${answer.redacted.join(', ')}.`);
    const { differences } = answer;
    if (differences !== null) {
      terminal.result(answer, () => differenceText(differences, terminal));
      terminal.note(terminal.paintError('dim', comparedText(answer)));
      return differences.length === 0 ? 0 : 1;
    }
    if (terminal.json) terminal.result(answer, () => '');
    else print(answer, terminal);
    return answer.error === null ? 0 : 1;
  },
};

function print({ result, error, invocation, function: fn, version }: ReplayAnswer, terminal: Terminal): void {
  if (result?.text !== undefined)
    terminal.outBytes(terminal.outIsTerminal && !result.text.endsWith('\n') ? `${result.text}\n` : result.text);
  else if (result?.base64 !== undefined) terminal.outBytes(Buffer.from(result.base64, 'base64'));
  if (error !== null) terminal.error(`${terminal.paintError(['red', 'bold'], 'error:')} ${printable(error.message)} (${error.code})`);
  const status = result === null ? '' : `  status ${result.status}`;
  terminal.note(terminal.paintError('dim', `${invocation ?? ''}  ${fn}${version === null ? '' : ` version ${version}`}${status}`));
}

function differenceText(differences: readonly Difference[], terminal: Terminal): string {
  const was = (text: string): string => terminal.paint('red', text);
  const is = (text: string): string => terminal.paint('green', text);
  return differences
    .flatMap((one) => {
      if ('lines' in one)
        return [
          one.at,
          ...one.lines.map((line) =>
            line.startsWith('-') ? was(printable(line)) : line.startsWith('+') ? is(printable(line)) : printable(line),
          ),
        ];
      return [
        one.at,
        ...('before' in one ? [was(`- ${valueText(one.before)}`)] : []),
        ...('after' in one ? [is(`+ ${valueText(one.after)}`)] : []),
      ];
    })
    .join('\n');
}

function valueText(value: unknown): string {
  return printable(JSON.stringify(value) ?? String(value));
}

function comparedText({ compared, differences, version }: ReplayAnswer): string {
  const other = compared?.with === 'recorded' ? 'what was recorded' : `version ${compared?.version ?? '?'}, which is served`;
  const count = differences?.length ?? 0;
  const verdict = count === 0 ? 'answers the same as' : `differs in ${count === 1 ? '1 place' : `${count} places`} from`;
  return `version ${version ?? '?'} ${verdict} ${other}`;
}
