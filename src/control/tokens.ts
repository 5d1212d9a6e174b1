// Bearer tokens. Invariant: only the sha256 of a token is stored, and it is looked up by that hash, so the time of a
// lookup says nothing of the secret. The operator token is a file in the data folder (0600): who can read the folder is
// the operator. A lost file is therefore replaced by a new token, and the old one stops working; a file that the records
// do not know (they were restored, or a first start was interrupted) is taken as it is.
import { createHash, randomBytes } from 'node:crypto';
import { chmod, lstat, open, readFile, rename, rm } from 'node:fs/promises';
import { VirgaError } from '../protocol/errors.ts';
import type { Records } from '../store/records/records.ts';
import type { PlatformLog, Principal } from './context.ts';

const TOKEN = /^vrg_[A-Za-z0-9_-]{43}$/;
const OPERATOR = 'operator';

/** Fails with `unauthorized`. */
export async function authenticate(records: Records, authorization: string | undefined): Promise<Principal> {
  if (authorization === undefined) {
    throw new VirgaError(
      'unauthorized',
      'this needs a token: send it as `Authorization: Bearer vrg_…`; on the node itself it is in the file operator-token of the data folder',
    );
  }
  const token = /^Bearer +(\S+) *$/i.exec(authorization)?.[1];
  if (token === undefined || !TOKEN.test(token)) {
    throw new VirgaError(
      'unauthorized',
      'the authorization header does not carry a token of Virga; it must be `Bearer vrg_` and 43 characters',
    );
  }
  const { rows } = await records.query<{ id: string; name: string }>('select id, name from tokens where hash = $1', [hashOf(token)]);
  if (rows[0] === undefined) throw new VirgaError('unauthorized', 'this token is not known here; `virga login` stores another one');
  return { tokenId: rows[0].id, tokenName: rows[0].name };
}

/** Makes sure that the file holds a token and that exactly this one is the operator's. */
export async function ensureOperatorToken(records: Records, file: string, log: PlatformLog): Promise<void> {
  let token = await readToken(file, log);
  if (token === undefined) {
    token = `vrg_${randomBytes(32).toString('base64url')}`;
    // The file comes first: a crash in between leaves a token that the next start takes up.
    await writeWhole(file, `${token}\n`);
    log('info', 'a new operator token was made', { file });
  }
  await records.query('insert into tokens (id, name, hash) values ($1, $1, $2) on conflict (id) do update set hash = excluded.hash', [
    OPERATOR,
    hashOf(token),
  ]);
}

async function readToken(file: string, log: PlatformLog): Promise<string | undefined> {
  const stat = await lstat(file).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (stat === undefined) return undefined;
  if (!stat.isFile())
    throw new VirgaError('unavailable', `${file} must be a file with the operator token, and is something else; remove it`);
  if ((stat.mode & 0o077) !== 0) {
    await chmod(file, 0o600);
    log('warn', 'the operator token could be read by others; its mode is 0600 again', { file });
  }
  const token = (await readFile(file, 'utf8')).trim();
  if (TOKEN.test(token)) return token;
  log('warn', 'the file with the operator token holds something else and is replaced', { file });
  return undefined;
}

async function writeWhole(file: string, text: string): Promise<void> {
  const temporary = `${file}.${process.pid}.tmp`;
  try {
    const handle = await open(temporary, 'w', 0o600);
    try {
      await handle.chmod(0o600);
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, file);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

function hashOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
