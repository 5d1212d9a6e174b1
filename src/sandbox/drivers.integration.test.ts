// Every sandbox driver of this machine against the one suite.
import { BubblewrapDriver } from './bubblewrap/bubblewrap.ts';
import { sandboxDriverConformance } from './conformance.ts';
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
