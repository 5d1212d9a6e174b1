// An Azure function app in the making, and the stand-in for the host's module `@azure/functions-core`, which the library asks for:
// what is registered there (functions, hooks, the programming model) is kept here. Invariant: registering ends with the start of
// the app, as on Azure; the library finds the module by `require` and knows no difference. Made by azure.ts.
import { Module } from 'node:module';
import type { LogLevelName } from '../../../../protocol/frames.ts';
import { running } from '../../invocation.ts';
import type { LogRecords } from '../../log-records.ts';
import type { Binding, Callback, LogCategory, LogLevel, Metadata, ProgrammingModel } from './core-types.ts';

export interface AppFunction {
  name: string;
  metadata: Metadata;
  callback: Callback;
  trigger: Binding & { name: string };
}

type Hook = (context: Record<string, unknown>) => unknown;

const HOOKS = ['preInvocation', 'postInvocation', 'appStart', 'appTerminate', 'log'] as const;
type HookName = (typeof HOOKS)[number];

const MODULE = '@azure/functions-core';
/** Of Azure's worker for Node with everything that is here. */
const WORKER_VERSION = '3.10.1';
const HOST_VERSION = '4.1037.0';

const LEVELS: Record<LogLevel, LogLevelName | undefined> = {
  trace: 'debug',
  debug: 'debug',
  information: 'info',
  warning: 'warn',
  error: 'error',
  critical: 'error',
  none: undefined,
};

class Disposable {
  readonly #dispose: () => unknown;

  constructor(dispose: () => unknown) {
    this.#dispose = dispose;
  }

  static from(...disposables: { dispose: () => unknown }[]): Disposable {
    return new Disposable(() => {
      for (const one of disposables) one.dispose();
    });
  }

  dispose(): unknown {
    return this.#dispose();
  }
}

export class App {
  readonly functions = new Map<string, AppFunction>();
  /** Shared by all hooks; shared by the hooks of the app's start and end. */
  readonly appHookData: Record<string, unknown> = {};
  readonly appLevelHookData: Record<string, unknown> = {};
  readonly #hooks: Record<HookName, Hook[]> = { preInvocation: [], postInvocation: [], appStart: [], appTerminate: [], log: [] };
  readonly #log: LogRecords;
  #model: ProgrammingModel | undefined;
  #started = false;

  constructor(log: LogRecords) {
    this.#log = log;
  }

  /** Every `require` of the module from now on is answered with this app's. */
  provideModule(): void {
    const core = {
      version: WORKER_VERSION,
      hostVersion: HOST_VERSION,
      Disposable,
      registerFunction: (metadata: Metadata, callback: Callback) => this.#registerFunction(metadata, callback),
      registerHook: (name: string, hook: Hook) => this.#registerHook(name, hook),
      setProgrammingModel: (model: ProgrammingModel) => void (this.#model = model),
      getProgrammingModel: () => this.#model,
      log: (level: LogLevel, category: LogCategory, message: string) => this.log(level, category, message),
    };
    // oxlint-disable-next-line typescript/unbound-method -- it is called with the module that asks
    const original = Module.prototype.require;
    Module.prototype.require = function require(this: Module, id: string): unknown {
      return id === MODULE ? core : original.call(this, id);
    } as typeof original;
  }

  get model(): ProgrammingModel | undefined {
    return this.#model;
  }

  /** Nothing is registered any more. */
  lock(): void {
    this.#started = true;
  }

  async runHooks(name: HookName, context: Record<string, unknown>): Promise<void> {
    for (const hook of this.#hooks[name]) await hook(context);
  }

  /** What the library says of itself is for the host's eyes, and on Azure not in the app's log either, unless it warns. */
  log(level: LogLevel, category: LogCategory, message: string, invocationContext?: unknown): void {
    if (category !== 'user' && (level === 'trace' || level === 'debug' || level === 'information')) return;
    const context = { level, message, category, invocationContext, hookData: {}, appHookData: this.appHookData };
    for (const hook of this.#hooks.log) hook(context);
    const name = LEVELS[context.level];
    if (name !== undefined) this.#log.write(running.getStore()?.stream ?? 0, name, context.message);
  }

  #registerFunction(metadata: Metadata, callback: Callback): Disposable {
    if (this.#started) throw new Error(`the function '${metadata.name}' can only be registered while the app starts`);
    const id = metadata.functionId ?? metadata.name;
    if (this.functions.has(id)) throw new Error(`a function with the name '${id}' has been registered already`);
    const [name, trigger] = Object.entries(metadata.bindings).find(([, { type }]) => /trigger$/i.test(type)) ?? [];
    if (name === undefined || trigger === undefined) throw new Error(`the function '${metadata.name}' has no trigger`);
    this.functions.set(id, { name: metadata.name, metadata, callback, trigger: { ...trigger, name } });
    return new Disposable(() => {
      if (this.#started) throw new Error(`the function '${metadata.name}' can only be disposed of while the app starts`);
      this.functions.delete(id);
    });
  }

  #registerHook(name: string, hook: Hook): Disposable {
    const hooks = this.#hooks[name as HookName] as Hook[] | undefined;
    if (hooks === undefined) throw new RangeError(`there is no hook '${name}'; there are ${HOOKS.join(', ')}`);
    hooks.push(hook);
    return new Disposable(() => {
      const at = hooks.indexOf(hook);
      if (at !== -1) hooks.splice(at, 1);
    });
  }
}
