// What messages, events and records are held to before they are stored, whoever sends them. Invariant: an error names the place, what was
// given and the bound; nothing of a body is quoted. Used by publish.ts.
import { VirgaError } from '../protocol/errors.ts';

const BATCH_MAX = 1_000;
const BATCH_BYTES_MAX = 8 * 1_024 ** 2;
const ATTRIBUTES_MAX = 50;
const ATTRIBUTE_BYTES_MAX = 16 * 1_024;
const ATTRIBUTE_NAME = /^[A-Za-z0-9_][A-Za-z0-9_.:-]{0,255}$/;
const NAME_MAX = 256;
const DELAY_MS_MAX = 30 * 86_400_000;

export interface Bounded {
  id?: string | undefined;
  body: string;
  attributes?: Record<string, string> | undefined;
  subject?: string | undefined;
  delayMs?: number | undefined;
  group?: string | undefined;
  deduplicationId?: string | undefined;
  /** Of a record. */
  key?: string | undefined;
}

export class MessageBounds {
  readonly #bytesMax: number;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** For one request; `what`: `messages`, `events`, `records`. */
  of(what: string, count: number): RequestBounds {
    if (count === 0) throw new VirgaError('invalid_request', `there are no ${what}; send at least one`);
    if (count > BATCH_MAX) throw new VirgaError('request_too_large', `these are ${count} ${what}; send at most ${BATCH_MAX} at once`);
    return new RequestBounds(what, count, this.#bytesMax);
  }
}

export class RequestBounds {
  readonly #what: string;
  readonly #count: number;
  readonly #bytesMax: number;
  #bytes = 0;

  constructor(what: string, count: number, bytesMax: number) {
    this.#what = what;
    this.#count = count;
    this.#bytesMax = bytesMax;
  }

  /** Throws what is wrong with it. */
  add(index: number, { id, body, attributes = {}, subject, delayMs, group, deduplicationId, key }: Bounded): void {
    const body1 = this.#what === 'records' ? 'data' : 'body';
    this.#text(index, body1, body);
    const bytes = Buffer.byteLength(body);
    if (bytes > this.#bytesMax)
      throw new VirgaError(
        'request_too_large',
        `${this.#place(index)}has ${bytes} bytes; at most ${this.#bytesMax} are taken (VIRGA_LIMIT_MESSAGE_BYTES). Store it elsewhere and send where it lies`,
      );
    const ofAttributes = this.#attributes(index, attributes);
    this.#bytes += bytes + ofAttributes;
    if (this.#bytes > BATCH_BYTES_MAX && this.#count > 1)
      throw new VirgaError('request_too_large', `the ${this.#what} have more than ${BATCH_BYTES_MAX} bytes together; send fewer at once`);
    for (const [name, value] of Object.entries({ id, subject, group, deduplicationId, key })) {
      if (value === undefined) continue;
      this.#text(index, name, value);
      if (value === '' || value.length > NAME_MAX)
        throw this.refusal(index, name, `it has ${value.length} characters; give it from 1 to ${NAME_MAX}`);
    }
    if (delayMs !== undefined && !(Number.isInteger(delayMs) && delayMs >= 0 && delayMs <= DELAY_MS_MAX))
      throw this.refusal(index, 'delayMs', `it is ${delayMs}; give it a whole number from 0 to ${DELAY_MS_MAX} (30d)`);
  }

  refusal(index: number, key: string, message: string): VirgaError {
    const path = this.#count === 1 ? key : `${this.#what}.${index}.${key}`;
    return new VirgaError('invalid_request', `'${path}': ${message}`, { detail: [{ path, message }] });
  }

  #place(index: number): string {
    return this.#count === 1 ? 'it ' : `'${this.#what}.${index}' `;
  }

  #attributes(index: number, attributes: Record<string, string>): number {
    let count = 0;
    let bytes = 0;
    for (const [name, value] of Object.entries(attributes)) {
      if (!ATTRIBUTE_NAME.test(name)) {
        const message = `'${name.slice(0, 100)}' is no name of an attribute: letters, digits, '_', '-', '.' and ':', at most ${NAME_MAX}, beginning with a letter, a digit or '_'`;
        throw this.refusal(index, 'attributes', message);
      }
      this.#text(index, `attributes.${name}`, value);
      bytes += name.length + Buffer.byteLength(value);
      count++;
    }
    if (count > ATTRIBUTES_MAX) throw this.refusal(index, 'attributes', `there are ${count}; at most ${ATTRIBUTES_MAX} are taken`);
    if (bytes > ATTRIBUTE_BYTES_MAX)
      throw this.refusal(index, 'attributes', `they have ${bytes} bytes; at most ${ATTRIBUTE_BYTES_MAX} are taken`);
    return bytes;
  }

  /** The database keeps Unicode without NUL, and what it would change is refused instead. */
  #text(index: number, key: string, value: string): void {
    if (value.includes('\0')) throw this.refusal(index, key, 'it holds the character NUL; send bytes in base64');
    if (!value.isWellFormed()) throw this.refusal(index, key, 'it holds half of a surrogate pair, which no text in UTF-8 can');
  }
}
