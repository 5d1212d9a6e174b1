// Which functions of an Azure app can run on Virga. Invariant: what has no counterpart is an error that names the function, what it
// uses, and the remedy, before its first call; nothing is left out in silence. Called by azure.ts once the app is loaded; what the
// source shows is said at the deploy already (cli/build/azure-source.ts).
import { LoadError } from '../../failure.ts';
import type { AppFunction } from './app.ts';

const TRIGGERS: ReadonlySet<string> = new Set([
  'httptrigger',
  'timertrigger',
  'queuetrigger',
  'blobtrigger',
  'eventgridtrigger',
  'warmuptrigger',
]);
const DURABLE: ReadonlySet<string> = new Set(['orchestrationtrigger', 'activitytrigger', 'entitytrigger', 'durableclient']);

export function isTrigger(fn: AppFunction, type: string): boolean {
  return fn.trigger.type.toLowerCase() === `${type}trigger`;
}

/** The functions that are to run: the one that `handler` names, or all. */
export function runnable(functions: ReadonlyMap<string, AppFunction>, picked: string | undefined): AppFunction[] {
  const all = [...functions.values()];
  const chosen = picked === undefined ? all : all.filter(({ name }) => name === picked);
  if (chosen.length === 0)
    throw new LoadError(`\`handler\` names '${picked}', but the app registers ${all.map(({ name }) => name).join(', ') || 'no function'}`);
  const problems = chosen.flatMap((fn) => problemsOf(fn).map((problem) => `function '${fn.name}' ${problem}`));
  if (problems.length === 0) return chosen;
  const remedy =
    all.length > 1 && chosen.length > 1
      ? '; change it, or run the other functions of the app by themselves, each with `handler: <name>` in virga.yaml'
      : '; change the function';
  throw new LoadError(`${problems.join('; ')}${remedy}`);
}

function problemsOf({ trigger, metadata }: AppFunction): string[] {
  const problems: string[] = [];
  if (!TRIGGERS.has(trigger.type.toLowerCase())) problems.push(`is triggered by ${shown(trigger.type)}, which has no counterpart in Virga`);
  const level = trigger['authLevel'];
  if (isHttp(trigger.type) && typeof level === 'string' && level.toLowerCase() !== 'anonymous' && !anonymousAnyway())
    problems.push(
      `has authLevel '${level}', but Virga has no function keys: check who calls in the code and say authLevel: 'anonymous', or set AZURE_FUNCTIONS_AUTH_LEVEL: anonymous in \`env\` to let everybody call it`,
    );
  if (trigger.properties?.supportsDeferredBinding === 'true')
    problems.push('asks for an SDK client as its input (sdkBinding), which needs Azure Storage');
  for (const [name, { type, direction }] of Object.entries(metadata.bindings)) {
    if (name === trigger.name || (direction === 'out' && type.toLowerCase() === 'http')) continue;
    problems.push(`has the ${direction === 'in' ? 'input' : 'output'} binding ${shown(type)}, which has no counterpart in Virga`);
  }
  return problems;
}

function isHttp(type: string): boolean {
  return type.toLowerCase() === 'httptrigger';
}

/** The author's word that keys were only a formality. */
function anonymousAnyway(): boolean {
  return process.env['AZURE_FUNCTIONS_AUTH_LEVEL'] === 'anonymous';
}

function shown(type: string): string {
  return DURABLE.has(type.toLowerCase()) ? `${type} (Durable Functions)` : type;
}
