// What senders hand over as JSON, by HTTP or from functions: one message or a list of them, checked by hand, since a schema library takes
// longer for a batch than everything else that is done with it. Invariant: what comes out has the shape of its type; an error names the
// place and what is expected there. Bounds are message-bounds.ts's. Callers: control/, guest-publishing.ts, gateway/.
import { closestWord } from '../lib/closest-word.ts';
import { VirgaError } from '../protocol/errors.ts';
import type { AppendRecord, SendMessage, TopicPublication } from './publish.ts';

type Fields = Record<string, 'text' | 'json' | 'attributes' | 'number'>;

const MESSAGE: Fields = { body: 'json', attributes: 'attributes', delayMs: 'number', group: 'text', deduplicationId: 'text', id: 'text' };
const PUBLICATION: Fields = { body: 'json', subject: 'text', attributes: 'attributes', group: 'text', deduplicationId: 'text', id: 'text' };
const RECORD: Fields = { key: 'text', data: 'json', attributes: 'attributes', id: 'text' };

export function sentMessages(input: unknown): SendMessage[] {
  return listOf(input, 'messages').map((one, index) => checked<SendMessage>(one, place(input, 'messages', index), MESSAGE, ['body']));
}

export function sentPublications(input: unknown): TopicPublication[] {
  return listOf(input, 'messages').map((one, index) =>
    checked<TopicPublication>(one, place(input, 'messages', index), PUBLICATION, ['body']),
  );
}

/** A record without a key is in a partition of its id's. */
export function sentRecords(input: unknown, newKey: () => string): AppendRecord[] {
  return listOf(input, 'records').map((one, index) => {
    const { key = newKey(), ...rest } = checked<Omit<AppendRecord, 'partitionKey'> & { key?: string }>(
      one,
      place(input, 'records', index),
      RECORD,
      ['data'],
    );
    return { partitionKey: key, ...rest };
  });
}

/** `{messages: […]}`, a list, or one. */
export function listOf(input: unknown, key: string): unknown[] {
  if (Array.isArray(input)) return input as unknown[];
  if (!isObject(input)) throw wrong('', `expected an object, or {${key}: [ … ]}`, input);
  if (!Object.hasOwn(input, key)) return [input];
  const list = input[key];
  if (!Array.isArray(list)) throw wrong(key, `expected a list of ${key}`, list);
  const other = Object.keys(input).find((one) => one !== key);
  if (other !== undefined) throw wrong(other, `is not known beside '${key}'`, undefined);
  return list as unknown[];
}

function place(input: unknown, key: string, index: number): string {
  if (Array.isArray(input)) return `${index}.`;
  return isObject(input) && Object.hasOwn(input, key) ? `${key}.${index}.` : '';
}

function checked<T>(one: unknown, at: string, fields: Fields, required: string[]): T {
  if (!isObject(one)) throw wrong(at.slice(0, -1), 'expected an object', one);
  const out: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(one)) {
    const kind = Object.hasOwn(fields, key) ? fields[key] : undefined;
    if (kind === undefined) {
      const known = Object.keys(fields);
      const meant = closestWord(key, known);
      throw wrong(
        `${at}${key.slice(0, 100)}`,
        `is not known; ${meant === undefined ? `known here: ${known.join(', ')}` : `did you mean '${meant}'?`}`,
        undefined,
      );
    }
    if (kind === 'json') out[key] = typeof value === 'string' ? value : JSON.stringify(value);
    else if (kind === 'attributes') out[key] = attributesOf(value, `${at}${key}`);
    else if (kind === 'number' ? typeof value === 'number' : typeof value === 'string') out[key] = value;
    else throw wrong(`${at}${key}`, `expected a ${kind}`, value);
  }
  for (const key of required) if (out[key] === undefined) throw wrong(`${at}${key}`, 'is missing', undefined);
  return out as T;
}

function attributesOf(value: unknown, at: string): Record<string, string> {
  if (!isObject(value)) throw wrong(at, 'expected an object of texts', value);
  for (const [name, text] of Object.entries(value))
    if (typeof text !== 'string') throw wrong(`${at}.${name.slice(0, 100)}`, 'expected a text: attributes are texts alone', text);
  return value as Record<string, string>;
}

/** Of a value its kind alone: it may be what the sender would not want in a log. */
function wrong(path: string, message: string, value: unknown): VirgaError {
  const given = value === undefined ? '' : ` (got ${kindOf(value)})`;
  return new VirgaError('invalid_request', `${path === '' ? 'the body' : `'${path}'`}: ${message}${given}`, {
    detail: [{ path, message }],
  });
}

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === 'object') return 'an object';
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : 'a text';
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
