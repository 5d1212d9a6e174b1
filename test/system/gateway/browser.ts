// Chromium without a window, spoken to over the pipe of its DevTools protocol (https://chromedevtools.github.io/devtools-protocol/):
// one page, in which scripts are run. Used by browser.test.ts. Invariant: the browser and its profile go with `await using`.
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';

const NAMES = ['chromium-headless-shell', 'chromium', 'chromium-browser', 'google-chrome'];

export const CHROMIUM = NAMES.flatMap((name) => ['/usr/bin', '/usr/local/bin'].map((folder) => join(folder, name))).find((path) => {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
});

interface Reply {
  id?: number;
  method?: string;
  params?: { message?: string; entry?: { text: string }; exceptionDetails?: { text: string } };
  result?: { result?: { value?: unknown }; exceptionDetails?: { text: string; exception?: { description?: string } } } & Record<
    string,
    unknown
  >;
  error?: { message: string };
}

export class Browser implements AsyncDisposable {
  /** What the page logged as errors, and what it threw. */
  readonly complaints: string[] = [];
  readonly #process: ChildProcess;
  readonly #profile: string;
  readonly #waiting = new Map<number, (reply: Reply) => void>();
  readonly #listeners = new Set<(method: string) => void>();
  #session = '';
  #lastId = 0;

  private constructor(process: ChildProcess, profile: string) {
    this.#process = process;
    this.#profile = profile;
    let rest = '';
    (process.stdio[4] as Readable).setEncoding('utf8').on('data', (text: string) => {
      const parts = (rest + text).split('\0');
      rest = parts.pop()!;
      for (const part of parts) this.#hear(JSON.parse(part) as Reply);
    });
  }

  static async start(path: string): Promise<Browser> {
    const profile = mkdtempSync(join(tmpdir(), 'virga-browser-'));
    // The browser's own sandbox needs a user other than root; what it loads here is this test's.
    const args = [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-dev-shm-usage',
      '--no-first-run',
      '--disable-background-networking',
    ];
    const child = spawn(path, [...args, '--remote-debugging-pipe', `--user-data-dir=${profile}`, 'about:blank'], {
      stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'],
      env: { PATH: '/usr/bin:/bin', HOME: profile, XDG_CONFIG_HOME: profile, XDG_CACHE_HOME: profile },
    });
    const browser = new Browser(child, profile);
    const { targetId } = await browser.#ask<{ targetId: string }>('Target.createTarget', { url: 'about:blank' });
    const { sessionId } = await browser.#ask<{ sessionId: string }>('Target.attachToTarget', { targetId, flatten: true });
    browser.#session = sessionId;
    for (const domain of ['Page', 'Runtime', 'Log']) await browser.#ask(`${domain}.enable`, {});
    return browser;
  }

  async open(url: string): Promise<void> {
    const loaded = new Promise<void>((resolve) => {
      const listener = (method: string): void => {
        if (method !== 'Page.loadEventFired') return;
        this.#listeners.delete(listener);
        resolve();
      };
      this.#listeners.add(listener);
    });
    const { errorText } = await this.#ask<{ errorText?: string }>('Page.navigate', { url });
    if (errorText !== undefined) throw new Error(`${url}: ${errorText}`);
    await loaded;
  }

  /** The value of a function of the page, which may be a promise. */
  async run<T>(script: string): Promise<T> {
    const answer = await this.#ask<NonNullable<Reply['result']>>('Runtime.evaluate', {
      expression: `(${script})()`,
      awaitPromise: true,
      returnByValue: true,
    });
    const { exceptionDetails } = answer;
    if (exceptionDetails !== undefined) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return answer.result?.value as T;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#process, 'close');
    await this.#ask('Browser.close', {}, '').catch(() => {});
    await ended;
    rmSync(this.#profile, { recursive: true, force: true });
  }

  #ask<T>(method: string, params: object, session = this.#session): Promise<T> {
    const id = ++this.#lastId;
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    this.#waiting.set(id, ({ result, error }) =>
      error === undefined ? resolve(result as T) : reject(new Error(`${method}: ${error.message}`)),
    );
    const message = { id, method, params, ...(session === '' ? {} : { sessionId: session }) };
    (this.#process.stdio[3] as Writable).write(`${JSON.stringify(message)}\0`);
    return promise;
  }

  #hear(reply: Reply): void {
    if (reply.id !== undefined) {
      this.#waiting.get(reply.id)?.(reply);
      this.#waiting.delete(reply.id);
      return;
    }
    const { method = '', params } = reply;
    if (method === 'Runtime.exceptionThrown') this.complaints.push(params?.exceptionDetails?.text ?? 'an exception');
    if (method === 'Log.entryAdded' && params?.entry !== undefined) this.complaints.push(params.entry.text);
    for (const listener of this.#listeners) listener(method);
  }
}
