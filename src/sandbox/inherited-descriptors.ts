// Closes the file descriptors that whoever started this process left open for its children (a shell's pipe, a lock
// file): without this they would reach every sandbox. Node opens its own with close-on-exec, so what lacks that flag,
// and is not stdio, is foreign. Invariant: nothing of Node's is closed. Caller: bubblewrap.ts, before the first start.
import { closeSync, readFileSync, readdirSync } from 'node:fs';

const O_CLOEXEC = 0o2000000;

export function closeInheritedDescriptors(): void {
  for (const name of readdirSync('/proc/self/fd')) {
    const fd = Number(name);
    if (fd <= 2) continue;
    try {
      const flags = /^flags:\s+([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${name}`, 'latin1'));
      if (flags !== null && (parseInt(flags[1]!, 8) & O_CLOEXEC) === 0) closeSync(fd);
    } catch {
      // The descriptor of this very listing, gone again.
    }
  }
}
