// The servers that `virga login` was given, with their tokens: `~/.config/virga/logins.json`, mode 0600.
// Invariant: the file is replaced whole, and nobody but its owner can ever read it. Used by server.ts and login.
import { chmodSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CommandError } from './failure.ts';

export interface Logins {
  /** URL of the latest login. */
  current?: string;
  /** By URL. */
  servers: Record<string, { token: string }>;
}

export function readLogins(configFolder: string): Logins {
  const file = join(configFolder, 'logins.json');
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    return { servers: {} };
  }
  try {
    const logins = JSON.parse(text) as Logins;
    if (typeof logins.servers === 'object' && logins.servers !== null) return logins;
  } catch {
    // Falls through to the message below.
  }
  throw new CommandError(`${file} is damaged; remove it and run \`virga login\` again`);
}

export function storeLogin(configFolder: string, url: string, token: string): string {
  const logins = readLogins(configFolder);
  const file = join(configFolder, 'logins.json');
  mkdirSync(configFolder, { recursive: true, mode: 0o700 });
  const fresh = `${file}.${process.pid}`;
  writeFileSync(fresh, `${JSON.stringify({ current: url, servers: { ...logins.servers, [url]: { token } } }, null, 2)}\n`, { mode: 0o600 });
  chmodSync(fresh, 0o600);
  renameSync(fresh, file);
  return file;
}
