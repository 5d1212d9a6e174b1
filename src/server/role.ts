// One role of a node (edge, control, launcher) that runs in this process. Invariant: close() ends everything that the
// role started, and leaves no timer, socket or child behind. Callers: main.ts (a process per role), dev (all in one).

export interface RunningRole {
  close(): Promise<void>;
}
