// What the doctor puts up on the host to be attacked from inside: a file, a process and sockets that no sandbox may reach.
// Invariant: everything is gone after the disposal; the secret is of this run alone. Used by doctor.ts.
import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer, type ListenOptions, type Server } from 'node:net';
import { homedir, hostname, networkInterfaces } from 'node:os';
import { join } from 'node:path';
import type { Targets } from './inside/host.ts';

export class Decoys {
  readonly targets: Omit<Targets, 'neighbourPort'>;
  readonly #victim: ChildProcess;
  readonly #servers: Server[];

  private constructor(targets: Omit<Targets, 'neighbourPort'>, victim: ChildProcess, servers: Server[]) {
    this.targets = targets;
    this.#victim = victim;
    this.#servers = servers;
  }

  /** `folder` is the doctor's own; `dataFolder` that of the Virga that would be started. */
  static async open({ folder, dataFolder }: { folder: string; dataFolder: string }): Promise<Decoys> {
    const secret = `virga-doctor-${randomBytes(16).toString('hex')}`;
    const secretFile = join(folder, 'secret');
    await writeFile(secretFile, secret);
    const victim = spawn('/bin/sh', ['-c', 'read -r _', secret], { stdio: ['pipe', 'ignore', 'ignore'], env: { VIRGA_DOCTOR: secret } });
    await once(victim, 'spawn');
    const servers: Server[] = [];
    const listen = async (to: ListenOptions): Promise<number | null> => {
      const server = createServer((socket) => socket.on('error', () => {}).end(secret));
      try {
        await once(server.listen(to), 'listening');
      } catch {
        return null; // The machine has no such address.
      }
      servers.push(server);
      const address = server.address();
      return typeof address === 'object' && address !== null ? address.port : 0;
    };
    const socketPath = join(folder, 'decoy.sock');
    const abstractName = secret;
    await listen({ path: socketPath });
    if (process.platform === 'linux') await listen({ path: `\0${abstractName}` });
    const host = ownAddress();
    const port = host === null ? null : await listen({ host, port: 0 });
    const targets = {
      secret,
      secretFile,
      victimPid: victim.pid!,
      folders: [homedir(), dataFolder, folder],
      hostname: hostname(),
      socketPath,
      abstractName,
      loopback: (await listen({ host: '127.0.0.1', port: 0 }))!,
      loopback6: await listen({ host: '::1', port: 0 }),
      address: host === null || port === null ? null : { host, port },
    };
    return new Decoys(targets, victim, servers);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.#servers) server.close();
    if (this.#victim.exitCode === null && this.#victim.signalCode === null) {
      const ended = once(this.#victim, 'exit');
      this.#victim.kill('SIGKILL');
      await ended;
    }
  }
}

/** An address of this machine by which others know it. */
function ownAddress(): string | null {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  return all.find(({ family, internal }) => family === 'IPv4' && !internal)?.address ?? null;
}
