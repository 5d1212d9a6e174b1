// Tables of the keys of a schema, for the reference of virga.yaml. Used by reference.ts and event-reference.ts.
import { EGRESS_DEFAULT, EGRESS_ENTRIES_MAX } from '../../protocol/egress.ts';
import { ISOLATIONS, SETTING_LIMITS } from '../../protocol/settings.ts';
import { durationText, sizeText } from '../../lib/units.ts';

export interface Schema {
  type?: string;
  description?: string;
  enum?: string[];
  anyOf?: Schema[];
  minimum?: number;
  maximum?: number;
  properties?: Record<string, Schema>;
  additionalProperties?: Schema | boolean;
  items?: Schema;
  required?: string[];
}

const { memoryMiB, timeoutMs, concurrency, instancesMin, instancesMax, cpus, tmpMiB, pids, queue, idleMs, envBytes, windowForMs } =
  SETTING_LIMITS;

const BOUNDS: Record<string, string> = {
  memory: `${sizeText(memoryMiB.min)} to ${sizeText(memoryMiB.max)}`,
  timeout: `${durationText(timeoutMs.min)} to ${durationText(timeoutMs.max)}`,
  concurrency: `${concurrency.min} to ${concurrency.max}`,
  instances: `min ${instancesMin.min} to ${instancesMin.max}, max ${instancesMax.min} to ${instancesMax.max}`,
  cpus: `${cpus.min} to ${cpus.max}`,
  tmp: `${sizeText(tmpMiB.min)} to ${sizeText(tmpMiB.max)}`,
  pids: `${pids.min} to ${pids.max}`,
  isolation: ISOLATIONS.map((one) => `\`${one}\``).join(' or '),
  queue: `${queue.min} to ${queue.max}`,
  idle: `${durationText(idleMs.min)} to ${durationText(idleMs.max)}`,
  egress: `\`internet\`, \`none\`, or a list of at most ${EGRESS_ENTRIES_MAX} such as \`api.stripe.com\`, \`*.example.com:443\`, \`203.0.113.0/24\``,
  for: `${durationText(windowForMs.min)} to ${durationText(windowForMs.max)}`,
  min: `${instancesMin.min} to ${instancesMin.max}`,
  env: `at most ${envBytes.max} bytes in all`,
};

const DEFAULTS: Record<string, string> = {
  runtime: 'by the extension',
  memory: sizeText(memoryMiB.default),
  timeout: durationText(timeoutMs.default),
  concurrency: String(concurrency.default),
  instances: `{min: ${instancesMin.default}, max: ${instancesMax.default}}`,
  cpus: 'no quota',
  tmp: sizeText(tmpMiB.default),
  pids: String(pids.default),
  isolation: '`standard`',
  queue: String(queue.default),
  idle: durationText(idleMs.default),
  egress: `\`${EGRESS_DEFAULT}\``,
};

/** `own`: the keys are of their schema alone, and not the settings of a function that BOUNDS and DEFAULTS know. */
export function keys(schema: Schema, own = false): string {
  const rows = Object.entries(schema.properties ?? {})
    .filter(([name]) => name !== '$schema')
    .map(([name, value]) => {
      const needed = schema.required?.includes(name) === true;
      const { meaning, without } = own ? described(value) : { meaning: value.description ?? '', without: DEFAULTS[name] ?? '' };
      const bounds = (own ? undefined : BOUNDS[name]) ?? valuesOf(value);
      return `| \`${name}\` | ${meaning.replaceAll('|', '\\|')} | ${bounds} | ${needed ? '**needed**' : without} |`;
    });
  return ['| key | meaning | values | default |', '| --- | --- | --- | --- |', ...rows, ''].join('\n');
}

/** A description that ends with `Without it 30s.` says its default. */
function described({ description = '' }: Schema): { meaning: string; without: string } {
  const [, meaning = description, without = ''] = /^(.*) Without it ([^.:]*)\.$/.exec(description) ?? [];
  return { meaning, without };
}

function valuesOf(schema: Schema): string {
  if (schema.enum !== undefined) return schema.enum.map((value) => `\`${value}\``).join(' ');
  if (schema.items?.enum !== undefined) return `list of ${schema.items.enum.join(' ')}`;
  return schema.type === 'array' ? 'list' : '';
}

export function objectOf(schema: Schema): Schema | undefined {
  return schema.properties === undefined ? schema.anyOf?.map(objectOf).find((one) => one !== undefined) : schema;
}
