// Settings and variables of another cloud in Virga's terms. Invariants: what Virga cannot give as it was is given as near as it can, and
// reported; the value of a variable that looks like a secret goes no further than here. Used by the readers of all formats.
import { isSecretName, isSecretReference, isSecretValue } from './secrets.ts';
import { LIMITS, within } from './project.ts';
import type { Settings, Variable } from './project.ts';
import type { Found, Section } from './section.ts';
import { textOf } from './tree.ts';
import type { Place, Tree } from './tree.ts';
import { durationText, sizeText } from '../../lib/units.ts';

export const SECRET_NOTE = 'a secret, not copied; fill it in where you deploy from, and do not commit it';
const NAME = /^(?!__proto__$)[A-Za-z_][A-Za-z0-9_]{0,255}$/;

export function memoryOf(found: Found<number>, section: Section): number {
  const mib = within(found.value, LIMITS.memoryMiB, (to) => change(section, found.at, `memory ${found.value} MB`, `is ${sizeText(to)}`));
  if (mib === found.value) section.reading.report.carried(found.at, section.reading.subject, `memory ${sizeText(mib)}`);
  return mib;
}

/** In seconds, as AWS writes it. */
export function timeoutOf(found: Found<number>, section: Section): number {
  const wanted = found.value * 1_000;
  const ms = within(wanted, LIMITS.timeoutMs, (to) => change(section, found.at, `timeout ${found.value} s`, `is ${durationText(to)}`));
  if (ms === wanted) section.reading.report.carried(found.at, section.reading.subject, `timeout ${durationText(ms)}`);
  return ms;
}

export function tmpOf(found: Found<number>, section: Section): number {
  const mib = within(found.value, LIMITS.tmpMiB, (to) => change(section, found.at, `/tmp of ${found.value} MB`, `is ${sizeText(to)}`));
  change(section, found.at, `/tmp of ${found.value} MB`, 'is the size of /tmp, which counts as memory of the instance');
  return mib;
}

/** Reserved concurrency: so many instances at most. */
export function instancesMaxOf(found: Found<number>, section: Section): number | undefined {
  const { report, subject } = section.reading;
  if (found.value < 1) {
    report.left(found.at, subject, `reserved concurrency ${found.value}`, 'Virga switches no function off; leave it out of virga.yaml');
    return undefined;
  }
  const max = within(found.value, LIMITS.instancesMax, (to) =>
    change(section, found.at, `reserved concurrency ${found.value}`, `is ${to} instances at most`),
  );
  if (max === found.value) report.carried(found.at, subject, `reserved concurrency ${max}, as instances.max`);
  return max;
}

/** Provisioned concurrency: so many instances are kept ready. */
export function instancesMinOf(found: Found<number>, section: Section): number {
  const { report, subject } = section.reading;
  const min = within(found.value, LIMITS.instancesMin, (to) =>
    change(section, found.at, `provisioned concurrency ${found.value}`, `is ${to}`),
  );
  if (min === found.value) report.carried(found.at, subject, `provisioned concurrency ${min}, as instances.min`);
  return min;
}

/** min may not be above max: AWS has both apart. */
export function consistentInstances(settings: Settings, section: Section): void {
  const { min, max = LIMITS.instancesMax.default } = settings.instances ?? {};
  if (min === undefined || min <= max) return;
  settings.instances = { min, max: min };
  change(section, section.at, `provisioned concurrency ${min}`, `raises instances.max to ${min}`);
}

export function architectureOf(tree: Tree | undefined, key: string, section: Section): void {
  const names = tree?.kind === 'list' ? tree.items.map((item) => textOf(section.reading.resolve(item))) : [textOf(tree)];
  if (names.some((name) => name === 'arm64'))
    change(section, section.placeOf(key), 'architecture arm64', 'runs on the processor of the node; native code must be built for that');
}

/** Variables by name; secrets and what cannot be known stay behind as names. */
export function variablesOf(section: Section): Variable[] {
  return section.entries().flatMap(({ key, at, value }) => {
    const variable = variableOf(key, at, value, section);
    return variable === undefined ? [] : [variable];
  });
}

/** `changed`: how, where the variable is not quite what it was. */
export function variableOf(
  name: string,
  at: Place,
  tree: Tree,
  { reading: { report, subject } }: Section,
  changed?: string,
): Variable | undefined {
  const what = `variable ${name}`;
  if (!NAME.test(name)) {
    report.left(
      at,
      subject,
      `variable ${JSON.stringify(name.slice(0, 80))}`,
      'a name of an environment variable has letters, digits and _',
    );
    return undefined;
  }
  const left = (note: string): Variable => {
    report.left(at, subject, what, note);
    return { name, at, value: undefined, note };
  };
  if (tree.kind === 'unresolved')
    return left(tree.secret ? SECRET_NOTE : `${tree.reason}${tree.reason.includes('--param') ? '' : '; fill it in'}`);
  if (isSecretName(name)) return left(SECRET_NOTE);
  const value = textOf(tree);
  if (value === undefined) {
    if (tree.kind === 'scalar') return undefined; // nothing: as if it were not there
    return left('it is a list or a mapping; a variable is a text');
  }
  if (isSecretReference(value) || isSecretValue(value)) return left(SECRET_NOTE);
  if (changed === undefined) report.carried(at, subject, what);
  else report.changed(at, subject, what, changed);
  return { name, at, value, note: '' };
}

function change(section: Section, at: Place, what: string, how: string): void {
  section.reading.report.changed(at, section.reading.subject, what, how);
}
