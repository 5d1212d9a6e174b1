// Moves the requests of one function between its versions, and says how to keep it so. Used by the commands canary and promote.
// Invariant: all else of the project stays as it is deployed.
import type { DeployAnswer, FunctionItem, VirgaControl } from '../../sdk/src/control.ts';
import { changesText } from './changes-text.ts';
import { CommandError } from './failure.ts';
import { suggestion } from './suggest.ts';
import type { Terminal } from './terminal.ts';

type Live = NonNullable<FunctionItem['live']>;

/** `decide` gets the function as it is, and answers what is to be live; undefined: the deployed version alone. */
export async function moveTraffic(
  client: VirgaControl,
  { project, name }: { project: string; name: string },
  decide: (fn: FunctionItem) => Live | undefined,
): Promise<DeployAnswer> {
  const detail = await client.project(project);
  const fn = detail.functions.find((one) => one.name === name);
  if (fn === undefined) {
    const names = detail.functions.map((one) => one.name);
    throw new CommandError(
      `the project '${project}' has no function '${name}'${suggestion(name, names) || `; it has ${names.join(', ') || 'none'}`}`,
    );
  }
  return await client.moveTraffic(project, name, decide(fn) ?? null);
}

export function reportMoved(answer: DeployAnswer, terminal: Terminal, name: string, live: string): void {
  terminal.result(answer, () => changesText(answer, terminal));
  terminal.note(`The next \`virga deploy\` does again as virga.yaml says; to keep this, say there of '${name}': ${live}`);
  if (answer.warning !== undefined) terminal.note(`${terminal.paintError('yellow', 'warning:')} ${answer.warning}`);
}

/** As virga.yaml has it. */
export function liveText(live: Live | undefined): string {
  if (live === undefined) return 'no live';
  const { version, canary } = live;
  const tried = canary === undefined ? '' : `, canary: {version: ${canary.version}, percent: ${canary.percent}, sticky: ${canary.sticky}}`;
  return `live: {version: ${version}${tried}}`;
}
