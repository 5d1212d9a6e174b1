// Loaded by Node (--require) before a program whose entry is a bundle of ours, so that stacks name the author's files: source maps
// are switched on a moment after the program has begun, or when it fails. Invariant: nothing that the program can see
// changes otherwise. Bundled beside guest.ts; named by forms/web/start-command.ts.
//
// With --enable-source-maps the first stack that anybody looks at reads the whole map, and frameworks look at one while they
// load (avvio, of Fastify): of 250 ms of CPU until such a server of 1 MB listens, 90 were that.
import { holdSourceMaps, releaseSourceMaps } from './source-maps.ts';

const BEGUN_MS = 1_000;

holdSourceMaps(process.argv[1] ?? '');
// The monitor only listens: what happens to an exception stays as it is.
process.on('uncaughtExceptionMonitor', releaseSourceMaps);
setTimeout(releaseSourceMaps, BEGUN_MS).unref();
