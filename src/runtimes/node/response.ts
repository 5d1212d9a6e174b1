// The global Response of a sandbox: Node's own, except that a body which is there as a whole (text or bytes) becomes a stream
// only when somebody asks for one. Invariant: user code cannot tell it from the standard one: same prototype, same
// instanceof for what fetch() returns, same errors, same defaults. Installed by guest.ts; asked by web-call.ts.
//
// Measured, µs of one core: `new Response('hello', …)` 5.5, of which undici's making of a byte stream is 4 and more; reading
// that stream again to send it 1 more. Both fall away for a Response that goes from the handler straight to the caller.

type Source = string | Buffer;
type StandardResponse = typeof globalThis.Response;
type Body = ConstructorParameters<StandardResponse>[0];

/** These exist without a body, and undici refuses one for them. */
const BODILESS = new Set([101, 103, 204, 205, 304]);
const METHODS = ['blob', 'arrayBuffer', 'text', 'json', 'formData', 'bytes', 'textStream'];
const GETTERS = ['body', 'bodyUsed'];

/** As the base of a class it gives a private field to an object of another class: the constructor returns the object itself. */
function given(response: object): object {
  return response;
}

class LateBody extends (given as unknown as new (response: object) => object) {
  #source: Source;
  /** Stands in for it once somebody has looked at the body. */
  #real: Response | undefined;

  constructor(response: Response, source: Source) {
    super(response);
    this.#source = source;
  }

  static has(response: object): response is Response & LateBody {
    return #source in response;
  }

  static sourceOf(late: LateBody): Source | undefined {
    return late.#real === undefined ? late.#source : undefined;
  }

  /** From now on `real` has the body. */
  static settle(late: LateBody, real: Response): void {
    late.#real = real;
    late.#source = '';
  }

  static realOf(late: Response & LateBody, Standard: StandardResponse): Response {
    if (late.#real === undefined) LateBody.settle(late, new Standard(late.#source as Body, { headers: late.headers }));
    return late.#real!;
  }
}

/** A Response whose body was taken to be sent counts as read: this one, in which it was. */
let read: Response | undefined;

/** The body of a Response that nobody has looked at yet, as bytes; it then counts as read. Undefined: it has a stream, or none. */
export function takeWhole(response: Response): Buffer | undefined {
  if (!LateBody.has(response)) return undefined;
  const source = LateBody.sourceOf(response);
  if (source === undefined) return undefined;
  LateBody.settle(response, read!);
  return typeof source === 'string' ? Buffer.from(source) : source;
}

/** Replaces the global at its first use: naming Node's makes it load undici (18 ms, 7 MB), which not every function needs. */
export function installResponse(): void {
  const original = Object.getOwnPropertyDescriptor(globalThis, 'Response')!;
  const become = (value: unknown): void => {
    Object.defineProperty(globalThis, 'Response', { value, configurable: true, enumerable: false, writable: true });
  };
  Object.defineProperty(globalThis, 'Response', {
    configurable: true,
    enumerable: false,
    get() {
      Object.defineProperty(globalThis, 'Response', original);
      const made = define(globalThis.Response);
      become(made);
      return made;
    },
    set: become,
  });
}

function define(Standard: StandardResponse): StandardResponse {
  const late = (response: Response, source: Source, type: string | undefined): Response => {
    const { headers } = response;
    if (type !== undefined && !headers.has('content-type')) headers.append('content-type', type);
    return new LateBody(response, source) as unknown as Response;
  };

  function make(this: unknown, body?: Body, init?: ResponseInit): Response {
    if (new.target === undefined) return (Standard as unknown as () => Response)();
    const source = sourceOf(body);
    // A subclass of the user's, or a body that is a stream already.
    if (new.target !== make || source === undefined) {
      return Reflect.construct(Standard, [body, init], new.target === make ? Standard : new.target) as Response;
    }
    const response = new Standard(null, init);
    if (BODILESS.has(response.status)) return new Standard(body, init);
    return late(response, source, typeof source === 'string' ? 'text/plain;charset=UTF-8' : undefined);
  }

  function json(data: unknown, init?: ResponseInit): Response {
    const text = JSON.stringify(data);
    if (text === undefined) return Standard.json(data, init);
    const response = new Standard(null, init);
    if (BODILESS.has(response.status)) return Standard.json(data, init);
    return late(response, text, 'application/json');
  }

  replaceBody(Standard);
  read = new Standard('');
  void read.text();
  Object.setPrototypeOf(make, Standard);
  const hidden = { configurable: true, enumerable: false };
  Object.defineProperties(make, {
    name: { ...hidden, value: 'Response', writable: false },
    length: { ...hidden, value: 0, writable: false },
    prototype: { value: Standard.prototype, configurable: false, enumerable: false, writable: false },
  });
  Object.defineProperty(make, 'json', { value: json, configurable: true, enumerable: true, writable: true });
  Object.defineProperty(Standard.prototype, 'constructor', { ...hidden, value: make, writable: true });
  return make as unknown as StandardResponse;
}

/** What a stream need not be made of now. Bytes are copied: the user's may change before they are sent. */
function sourceOf(body: unknown): Source | undefined {
  if (typeof body === 'string') return body;
  const buffer = body instanceof Uint8Array ? body.buffer : body;
  // Shared and resizable memory is for undici to judge.
  if (!(buffer instanceof ArrayBuffer) || buffer.resizable || buffer.detached) return undefined;
  return Buffer.from(body instanceof Uint8Array ? body : new Uint8Array(buffer));
}

/** What asks for the body of a Response that has none yet asks the one made of it. */
function replaceBody(Standard: StandardResponse): void {
  const prototype = Standard.prototype as unknown as Record<string, (this: unknown, ...args: unknown[]) => unknown>;
  for (const name of METHODS) {
    const original = prototype[name];
    if (original === undefined) continue;
    const { [name]: method } = {
      [name](this: object, ...args: unknown[]) {
        // Azure's library reads each response so, to pass it on.
        if (name === 'arrayBuffer' && isLate(this)) {
          const whole = takeWhole(this);
          if (whole !== undefined) return Promise.resolve(new Uint8Array(whole).buffer);
        }
        return original.apply(isLate(this) ? LateBody.realOf(this, Standard) : this, args);
      },
    };
    Object.defineProperty(prototype, name, { value: method, configurable: true, enumerable: true, writable: true });
  }
  for (const name of GETTERS) {
    const original = Object.getOwnPropertyDescriptor(prototype, name)!;
    const get = function (this: object): unknown {
      return original.get!.call(isLate(this) ? LateBody.realOf(this, Standard) : this);
    };
    Object.defineProperty(get, 'name', { value: `get ${name}`, configurable: true });
    Object.defineProperty(prototype, name, { ...original, get });
  }
  const cloneStandard = prototype['clone']!;
  const clone = function clone(this: object): unknown {
    if (!isLate(this)) return cloneStandard.call(this);
    const { status, statusText, headers } = this;
    const source = LateBody.sourceOf(this);
    if (source !== undefined) return new LateBody(new Standard(null, { status, statusText, headers }), source);
    return new Standard(LateBody.realOf(this, Standard).clone().body, { status, statusText, headers });
  };
  Object.defineProperty(prototype, 'clone', { value: clone, configurable: true, enumerable: true, writable: true });
}

function isLate(value: unknown): value is Response & LateBody {
  return typeof value === 'object' && value !== null && LateBody.has(value);
}
