// How a run of a program ends other than by returning: the program asked for it, or nobody wants its answer any more. Both
// travel through the program's frames as exceptions. Used by run.ts and by the functions that it calls.

/** proc_exit. */
export class Exit extends Error {
  readonly code: number;

  constructor(code: number) {
    super(`the program exited with ${code}`);
    this.code = code;
  }
}

/** The client left. */
export class Abandoned extends Error {
  constructor() {
    super('the answer is not wanted any more');
  }
}
