// Every sandbox driver of this machine against the one suite.
import { BubblewrapDriver } from './bubblewrap/bubblewrap.ts';
import { sandboxDriverConformance } from './conformance.ts';
import { OciDriver } from './oci/oci.ts';
import { RUNTIME_NAMES } from './oci/runtimes.ts';
import { ProcessDriver } from './process/process.ts';

sandboxDriverConformance({ name: 'bubblewrap', isolates: true, open: (options) => BubblewrapDriver.open(options) });
sandboxDriverConformance({
  name: 'process',
  isolates: false,
  open: ({ scope }) => ProcessDriver.open({ scope, reason: 'a test', warn: () => {} }),
});
for (const runtime of RUNTIME_NAMES) {
  sandboxDriverConformance({ name: `oci (${runtime})`, isolates: true, open: (options) => OciDriver.open({ ...options, runtime }) });
}
