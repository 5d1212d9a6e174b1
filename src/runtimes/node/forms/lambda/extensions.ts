// AWS Lambda's external extensions: programs in /opt/extensions, of layers, that its runtime starts beside the function. Virga has
// no API for them and starts none. Invariant: whoever brought some is told so, by name. Called by lambda.ts and provided.ts.
import { existsSync, readdirSync } from 'node:fs';

const NAMES_MAX = 10;

/** What to say of those in the function's layers; undefined: there are none. */
export function extensionsNotStarted(codeFolder: string): string | undefined {
  const folder = `${codeFolder}/opt/extensions`;
  if (!existsSync(folder)) return undefined;
  const names = readdirSync(folder).slice(0, NAMES_MAX);
  if (names.length === 0) return undefined;
  return `the extensions ${names.join(', ')} of /opt/extensions are not started: Virga has no Extensions API`;
}
