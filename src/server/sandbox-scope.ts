// What tells the cgroups and processes of one data folder's sandboxes from those of every other Virga on the machine.
// Callers: launcher.ts, which starts them; supervisor.ts, which removes what a launcher that was killed has left.
import { createHash } from 'node:crypto';
import { realpath } from 'node:fs/promises';

export async function sandboxScope(dataFolder: string): Promise<string> {
  return createHash('sha256')
    .update(await realpath(dataFolder))
    .digest('hex')
    .slice(0, 12);
}
