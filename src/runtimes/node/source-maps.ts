// Source maps, so that stacks name the user's own files and lines, without a price on the way to READY.
//
//   on (blank) ──hold──▶ off while the entry is read and compiled ──release──▶ on, the entry's map registered
//
// With them on Node 26 counts the lines of every module that it compiles, and Node 24 reads its map as well: 1.8 and 7 ms
// for a bundle of 1 MB. Reading the map of such a bundle for the first stack takes 35 ms and 45 MB, once.
// Invariant: whoever looks at an error from here (console.ts, failure.ts) releases first; what remains is `error.stack`
// that the function reads itself while its module is still being evaluated. Callers: load.ts holds, guest.ts releases; program-maps.ts both.
import { existsSync } from 'node:fs';
import { basename } from 'node:path';
import type { Module } from 'node:module';
import { compileOnly } from './compile-only.ts';

let held: string | undefined;
/** Node forgets the map with the module. */
let registered: Module | undefined;

/** Only for an entry with its map beside it, as the command line builds it: others name theirs in a way that Node must read. */
export function holdSourceMaps(entry: string): void {
  if (!existsSync(`${entry}.map`)) return;
  held = entry;
  process.setSourceMapsEnabled(false);
}

export function releaseSourceMaps(): void {
  if (held === undefined) return;
  const entry = held;
  held = undefined;
  process.setSourceMapsEnabled(true);
  const { Module } = process.getBuiltinModule('node:module');
  registered = new Module(entry);
  // Node takes note of the map when it compiles.
  compileOnly(registered, entry, `//# sourceMappingURL=${encodeURIComponent(basename(entry))}.map`);
}
