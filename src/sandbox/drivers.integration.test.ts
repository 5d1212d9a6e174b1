// Every sandbox driver of this machine against the one suite.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BubblewrapDriver } from './bubblewrap/bubblewrap.ts';
import { sandboxDriverConformance } from './conformance.ts';
import { OciDriver } from './oci/oci.ts';
import { RUNTIME_NAMES, type OciRuntimeName } from './oci/runtimes.ts';
import { ProcessDriver } from './process/process.ts';

sandboxDriverConformance({
  name: 'bubblewrap',
  isolates: true,
  open: (options) => BubblewrapDriver.open({ ...options, networking: null }),
});
sandboxDriverConformance({
  name: 'process',
  isolates: false,
  open: ({ scope }) => ProcessDriver.open({ scope, reason: 'a test', warn: () => {} }),
});
for (const runtime of RUNTIME_NAMES) {
  sandboxDriverConformance({
    name: `oci (${runtime})`,
    isolates: true,
    ownKernel: runtime === 'runsc',
    skip: await whyNot(runtime),
    open: (options) => OciDriver.open({ ...options, runtime, networking: null }),
  });
}

/** Why a container runtime cannot be tested here; undefined: it can. */
async function whyNot(runtime: OciRuntimeName): Promise<string | undefined> {
  const runFolder = mkdtempSync(join(tmpdir(), 'virga-sandbox-'));
  try {
    await (await OciDriver.open({ scope: 'fedcba987654', folders: [], runFolder, runtime, networking: null })).close();
    return undefined;
  } catch (error) {
    return `${runtime} does not work here: ${(error as Error).message}`;
  } finally {
    rmSync(runFolder, { recursive: true, force: true });
  }
}
