// NODE_OPTIONS of a function: at AWS Lambda the process starts with them, here it has started before it knew the function. What
// can still be done is done (modules that are to be loaded first); whatever cannot is said in the log, by name. Called by lambda.ts.
import { pathToFileURL } from 'node:url';
import { importUrl } from '../../load.ts';

/** They ask for what the guest does anyway. */
const DONE_ALREADY = /^--(?:enable-source-maps|experimental-.*|no-warnings|no-deprecation|unhandled-rejections=(?:throw|strict)|trace-.*)$/;
const PRELOADS = new Set(['-r', '--require', '--import']);

export async function applyNodeOptions(options: string, { folder, warn }: { folder: string; warn: (text: string) => void }): Promise<void> {
  // Words, in quotes where they have spaces in them.
  const words = [...options.matchAll(/"((?:[^"\\]|\\.)*)"|(\S+)/g)].map(([, quoted, plain]) => quoted?.replace(/\\(.)/g, '$1') ?? plain!);
  const ignored: string[] = [];
  for (let at = 0; at < words.length; at++) {
    const [option = '', ...value] = words[at]!.split('=');
    if (PRELOADS.has(option)) await preload(option, value.length > 0 ? value.join('=') : (words[++at] ?? ''), folder);
    else if (!DONE_ALREADY.test(words[at]!)) ignored.push(words[at]!);
  }
  if (ignored.length > 0) warn(`NODE_OPTIONS has no effect with ${ignored.join(' ')}: Virga starts the process before it has the function`);
}

async function preload(option: string, specifier: string, folder: string): Promise<void> {
  const { createRequire } = process.getBuiltinModule('node:module');
  const require = createRequire(`${folder}/`);
  if (option !== '--import') return void require(specifier);
  await importUrl(pathToFileURL(require.resolve(specifier)).href);
}
