// Postgres at another socket, which loses answers: what was asked for is done, and nobody hears of it. For tests of the bus.
import { once } from 'node:events';
import { mkdtemp } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import type { Socket } from 'node:net';
import { join } from 'node:path';

export interface LossyPostgres extends AsyncDisposable {
  host: string;
  /** The next answer to something with one of these texts is lost, and its connection breaks. */
  lose: (...texts: string[]) => void;
}

/** `host`: the folder of Postgres' socket; that of this one is made in `folder`. */
export async function lossyPostgres(host: string, folder: string): Promise<LossyPostgres> {
  const own = await mkdtemp(join(folder, 'lossy-'));
  const socket = '.s.PGSQL.5432';
  let losing: string[] = [];
  const open = new Set<Socket>();
  const proxy = createServer((client) => {
    const postgres = connect(join(host, socket));
    let isLost = false;
    client.on('data', (chunk) => {
      if (losing.some((text) => chunk.includes(text))) {
        isLost = true;
        losing = [];
      }
      postgres.write(chunk);
    });
    postgres.on('data', (chunk) => (isLost ? client.destroy() : client.write(chunk)));
    for (const [one, other] of [
      [client, postgres],
      [postgres, client],
    ] as const) {
      open.add(one);
      one.on('error', () => {});
      one.on('close', () => {
        open.delete(one);
        other.destroy();
      });
    }
  });
  proxy.listen(join(own, socket));
  await once(proxy, 'listening');
  return {
    host: own,
    lose: (...texts) => (losing = texts),
    [Symbol.asyncDispose]: async () => {
      for (const one of open) one.destroy();
      proxy.close();
      await once(proxy, 'close');
    },
  };
}
