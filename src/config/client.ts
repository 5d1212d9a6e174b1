// What the command line takes from its environment: where the server is, and where its own files lie. Read once by
// cli/cli.ts. Invariant: nothing is decided here that a flag could decide; an empty variable counts as absent.
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';

export interface ClientSettings {
  /** VIRGA_URL: the control API. */
  url: string | undefined;
  /** VIRGA_TOKEN. */
  token: string | undefined;
  /** VIRGA_DATA, absolute: the data folder of a node on this machine. */
  dataFolder: string | undefined;
  /** `~/.config/virga`: what `virga login` stores. */
  configFolder: string;
  /** `~/.cache/virga`: installed Python packages. */
  cacheFolder: string;
}

export function clientSettings(env: NodeJS.ProcessEnv = process.env): ClientSettings {
  const read = (name: string): string | undefined => (env[name] === '' ? undefined : env[name]);
  const dataFolder = read('VIRGA_DATA');
  return {
    url: read('VIRGA_URL'),
    token: read('VIRGA_TOKEN'),
    dataFolder: dataFolder === undefined ? undefined : resolve(dataFolder),
    configFolder: join(read('XDG_CONFIG_HOME') ?? join(homedir(), '.config'), 'virga'),
    cacheFolder: join(read('XDG_CACHE_HOME') ?? join(homedir(), '.cache'), 'virga'),
  };
}
