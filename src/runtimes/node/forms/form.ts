// What a form is to the guest, and the guest to a form. Implemented by the folders beside this file, which forms.ts names.
import type { InitPayload } from '../../../protocol/frames.ts';
import type { Loaded, Target } from '../load.ts';
import type { LogRecords } from '../log-records.ts';
import type { PeakMemory } from '../peak-memory.ts';

/** What a form gets of the guest. */
export interface FormHost {
  log: LogRecords;
  /** Of the guest; a program beside it is to be counted too. */
  memory: PeakMemory;
  /** fd 3, which keeps the process alive unless it is told not to. */
  channel: { ref(): void; unref(): void };
  /** PATH as the sandbox was booted with: where the runtimes are. The function's own is another. */
  path: string;
}

export interface Form {
  load(init: InitPayload, host: FormHost): Promise<Loaded>;
  /** What serves, without anything that the code of a function could see: a blank runs it once while it waits. */
  rehearsed?: (init: InitPayload, host: Pick<FormHost, 'log' | 'channel'>) => Target;
  /** The blank has become another's: what was made ready here is let go. */
  release?: () => void;
}
