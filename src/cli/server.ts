// Finds the server that a command talks to: VIRGA_URL with VIRGA_TOKEN; else a node on this machine, by the endpoint.json
// of its data folder (VIRGA_DATA, or `.virga` in the current folder or one above it, as git finds its repository); else
// what `virga login` stored. Invariant: a token is only sent to the server that it was given for. Used by every command
// that needs a server.
import { readFileSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { VirgaControl } from '../../sdk/src/control.ts';
import type { ClientSettings } from '../config/client.ts';
import { CommandError, UsageError } from './failure.ts';
import { readLogins } from './logins.ts';

export interface ServerAddress {
  url: string;
  token: string;
  /** Where it was found, for people. */
  from: string;
}

export function connect(settings: ClientSettings): VirgaControl {
  const { url, token } = findServer(settings);
  return new VirgaControl({ url, token });
}

export function findServer(settings: ClientSettings, folder: string = process.cwd()): ServerAddress {
  const logins = readLogins(settings.configFolder);
  if (settings.url !== undefined) {
    const url = checkedUrl(settings.url, 'VIRGA_URL');
    const token = settings.token ?? logins.servers[url]?.token;
    if (token === undefined)
      throw new CommandError(`VIRGA_URL is ${url}, but there is no token for it: set VIRGA_TOKEN, or run \`virga login ${url}\``);
    return { url, token, from: 'VIRGA_URL' };
  }
  const local = settings.dataFolder ?? dataFolderNear(folder);
  if (local !== undefined) {
    const found = nodeOf(local, settings.token);
    if (found !== undefined) return found;
    // A data folder that was asked for is meant; there is nothing to fall back to.
    if (settings.dataFolder !== undefined)
      throw new CommandError(`no Virga is running on the data folder ${local} (VIRGA_DATA); start it with \`virga start\``);
  }
  const login = logins.current === undefined ? undefined : logins.servers[logins.current];
  if (logins.current !== undefined && login !== undefined)
    return { url: logins.current, token: settings.token ?? login.token, from: '`virga login`' };
  throw new CommandError(
    'no Virga found: start one here with `virga start`, or name one with `virga login URL` or VIRGA_URL and VIRGA_TOKEN',
  );
}

/** The nearest `.virga` with an endpoint.json. */
function dataFolderNear(folder: string): string | undefined {
  for (let at = resolve(folder); ; at = dirname(at)) {
    const candidate = join(at, '.virga');
    if (statSync(join(candidate, 'endpoint.json'), { throwIfNoEntry: false })?.isFile()) return candidate;
    if (dirname(at) === at) return undefined;
  }
}

function nodeOf(dataFolder: string, token: string | undefined): ServerAddress | undefined {
  const file = join(dataFolder, 'endpoint.json');
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
  let controlUrl: unknown;
  try {
    controlUrl = (JSON.parse(text) as { controlUrl?: unknown }).controlUrl;
  } catch {
    // Falls through to the message below.
  }
  if (typeof controlUrl !== 'string') throw new CommandError(`${file} does not name a control API; restart \`virga start\``);
  return { url: checkedUrl(controlUrl, file), token: token ?? operatorToken(join(dataFolder, 'operator-token')), from: dataFolder };
}

function operatorToken(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    const denied = (error as NodeJS.ErrnoException).code === 'EACCES';
    const reason = denied ? 'may only be read by the user who started Virga' : (error as Error).message;
    throw new CommandError(
      `the operator token ${file} ${denied ? reason : `cannot be read: ${reason}`}; use VIRGA_TOKEN or \`virga login\` instead`,
    );
  }
}

/** Without trailing slashes. */
export function checkedUrl(text: string, what: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol))
    throw new UsageError(`${what} is ${JSON.stringify(text)}; expected the URL of the control API, such as http://127.0.0.1:8081`);
  return url.href.replace(/\/+$/, '');
}
