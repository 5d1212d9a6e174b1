// Code that was written for Azure Functions, model v4 of Node: the author's own copy of `@azure/functions` registers the app's
// functions with a stand-in for the host's module (app.ts), and makes requests, contexts and responses itself. One function of
// Virga is the whole app, unless `handler` names one of its functions. Invariant: what cannot run here is refused at load, by name.
// Loaded by forms.ts. Where to look: app-files.ts, support.ts (start) · routes.ts, http.ts, http-stream.ts (HTTP) · events.ts,
// trigger-inputs.ts (the rest) · call.ts (one call).
import type { InitPayload } from '../../../../protocol/frames.ts';
import { describe } from '../../failure.ts';
import { importFile } from '../../load.ts';
import type { Loaded } from '../../load.ts';
import type { FormHost } from '../form.ts';
import { App } from './app.ts';
import type { AppFunction } from './app.ts';
import { entriesOf, hostSettings, nothingRegistered } from './app-files.ts';
import { callFunction } from './call.ts';
import { serveEvent } from './events.ts';
import type { EventParts } from './events.ts';
import { serveHttp } from './http.ts';
import { httpStreamOf } from './http-stream.ts';
import { Routes } from './routes.ts';
import { isTrigger, runnable } from './support.ts';

export async function load(init: InitPayload, { log }: FormHost): Promise<Loaded> {
  setEnvironment(init);
  const [file = '', picked] = init.handler.split('#', 2);
  const app = new App(log);
  app.provideModule();
  const entries = entriesOf(init.codeFolder, file);
  const times = { loadMs: 0, initMs: 0 };
  for (const [index, entry] of entries.entries()) {
    const { loadMs, initMs } = await importFile(index === 0 ? init : { codeFolder: init.codeFolder }, entry);
    times.loadMs += loadMs;
    times.initMs += initMs;
  }
  if (app.functions.size === 0 || app.model === undefined) throw nothingRegistered(init.codeFolder, entries);
  const functions = runnable(app.functions, picked);
  const host = hostSettings(init.codeFolder);
  const startedAt = performance.now();
  const hookData = { hookData: app.appLevelHookData, appHookData: app.appHookData };
  await app.runHooks('appStart', { ...hookData, functionAppDirectory: init.codeFolder });
  app.lock();
  await warmUp(app, functions, init);
  const parts: EventParts = {
    app,
    functions,
    picked: picked !== undefined,
    host,
    stream: await httpStreamOf(app.model),
    routes: new Routes(
      functions.filter((fn) => isTrigger(fn, 'http')),
      host.routePrefix,
    ),
  };
  times.initMs += performance.now() - startedAt;
  return {
    target: {
      serve: (invocation) =>
        invocation.meta.kind === 'http' ? serveHttp(parts, invocation, invocation.meta) : serveEvent(parts, invocation, invocation.meta),
      stop: () => app.runHooks('appTerminate', hookData),
    },
    ready: { ...times, exports: ['serve'] },
  };
}

/** `app.warmup`: once, before an instance takes its first call. A failure of it is no reason not to serve, as on Azure. */
async function warmUp(app: App, functions: readonly AppFunction[], init: InitPayload): Promise<void> {
  for (const fn of functions.filter((one) => isTrigger(one, 'warmup'))) {
    const meta = { kind: 'event', id: `warmup-${fn.name}`, trace: '', trigger: 'warmup', contentType: 'application/json' } as const;
    const caller = { meta, remainingMs: init.timeoutMs, signal: AbortSignal.timeout(init.timeoutMs) };
    await callFunction(app, fn, { data: { json: '{}' }, triggerMetadata: {} }, caller).catch((error: unknown) =>
      app.log('error', 'user', `the warmup function '${fn.name}' failed: ${describe(error)}`),
    );
  }
}

/** What Azure's platform sets, where the function does not. */
function setEnvironment(init: InitPayload): void {
  const { env } = process;
  env['FUNCTIONS_WORKER_RUNTIME'] ??= 'node';
  env['FUNCTIONS_EXTENSION_VERSION'] ??= '~4';
  env['AZURE_FUNCTIONS_ENVIRONMENT'] ??= 'Production';
  env['AzureWebJobsScriptRoot'] ??= init.codeFolder;
  env['WEBSITE_SITE_NAME'] ??= init.function;
}
