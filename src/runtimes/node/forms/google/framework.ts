// `@google-cloud/functions-framework`, the author's own copy: its register of functions, and its server, which is asked for the
// listener alone. Invariant: nothing of it is changed; that it belongs to the code (and not to another copy) is why it is looked
// for from the code's own file. Called by google.ts. In a bundle the build has put it beside the code: cli/build/google-entry.ts.
import type { Server } from 'node:http';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { LoadError } from '../../failure.ts';
import type { RequestListener } from '../in-process-http.ts';

export const SIGNATURES = ['http', 'cloudevent', 'event'] as const;
export type Signature = (typeof SIGNATURES)[number];

type UserFunction = (...args: never[]) => unknown;

interface Registered {
  signatureType: Signature;
  userFunction: UserFunction;
}

/** What is used of the package. */
export interface Framework {
  /** Of the package, e.g. `5.0.5`. */
  version: string;
  getRegisteredFunction(name: string): Registered | undefined;
  http(name: string, fn: UserFunction): void;
  cloudEvent(name: string, fn: UserFunction): void;
  getTestServer(name: string): Server;
  getServer(fn: UserFunction, options: unknown): Server;
}

const PACKAGE = '@google-cloud/functions-framework';
/** A name that the register takes, whatever the export is called. */
const UNNAMED = 'function';

export function frameworkOf(file: string): Framework {
  const load = createRequire(file);
  let folder: string;
  try {
    folder = dirname(load.resolve(PACKAGE));
  } catch {
    throw new LoadError(
      `the code does not carry the package '${PACKAGE}', which runs it on Google too; add it with \`npm install ${PACKAGE}\``,
    );
  }
  const part = (name: string): object => load(join(folder, name)) as object;
  const { version } = part('../../package.json') as { version: string };
  return { ...part('function_registry.js'), ...part('testing.js'), ...part('server.js'), version } as Framework;
}

/** The listener of the framework's server for a function, registered or exported. */
export function listenerOf(
  framework: Framework,
  target: string,
  exported: { fn: UserFunction; signature: Signature } | undefined,
): RequestListener {
  const server = exported === undefined ? framework.getTestServer(target) : serverOf(framework, exported);
  return (request, response) => void server.emit('request', request, response);
}

function serverOf(framework: Framework, { fn, signature }: { fn: UserFunction; signature: Signature }): Server {
  if (signature !== 'event') {
    framework[signature === 'http' ? 'http' : 'cloudEvent'](UNNAMED, fn);
    return framework.getTestServer(UNNAMED);
  }
  const [major = 0, minor = 0] = framework.version.split('.').map(Number);
  // Background functions cannot be registered. Before 3.4 the second argument was the signature alone.
  if (major < 3 || (major === 3 && minor < 4)) return framework.getServer(fn, signature);
  return framework.getServer(fn, { signatureType: signature, enableExecutionId: false, timeoutMilliseconds: 0, ignoredRoutes: null });
}
