// Cloudflare Workers as they are: modules (`export default { fetch, scheduled, queue }`, or a class of `cloudflare:workers`) and
// service workers (`addEventListener('fetch', …)`). Invariant: the code finds the globals, the modules and the arguments that
// it knows; what Virga lacks of them is an error that names it, never something that quietly does nothing.
// Loaded by forms.ts. Where to look: globals.ts, modules.ts (what the code finds) · worker.ts (what it exports) ·
// http-call.ts, event-call.ts, queue-batch.ts (calls) · http-cache.ts, sockets.ts, digest-stream.ts (what Node has not).
import type { InitPayload } from '../../../../protocol/frames.ts';
import { importCode } from '../../load.ts';
import type { Loaded } from '../../load.ts';
import type { FormHost } from '../form.ts';
import { environmentOf } from './environment.ts';
import { serveEvent } from './event-call.ts';
import { installGlobals, variablesAsGlobals } from './globals.ts';
import { serveHttp } from './http-call.ts';
import { installModules } from './modules.ts';
import { Listeners } from './service-worker.ts';
import { findWorker } from './worker.ts';

export async function load(init: InitPayload, { log }: FormHost): Promise<Loaded> {
  const environment = environmentOf(init.env);
  const listeners = new Listeners();
  installGlobals({ memoryMiB: init.memoryMiB, listeners });
  installModules(environment);
  // A service worker finds its variables as globals, and may read them before it adds its first listener.
  if (/\.c?js$/.test(init.handler.split('#', 1)[0]!)) variablesAsGlobals(environment.env);
  const { namespace, file, name, ready } = await importCode(init);
  const worker = findWorker(namespace, { shown: file, name, listeners, log });
  // The platform's time, as in load.ts.
  void globalThis.Response;
  return {
    target: {
      serve: (invocation, context) =>
        invocation.meta.kind === 'http'
          ? serveHttp({ worker, environment }, { invocation, meta: invocation.meta, context })
          : serveEvent({ worker, environment, log }, { invocation, meta: invocation.meta, context }),
    },
    ready: { ...ready, exports: ['serve'] },
  };
}
