// The classes of `cloudflare:workers`. A Worker may extend WorkerEntrypoint; Durable Objects and workflows can be declared but
// not made, since they live in what Virga lacks. Invariant: `class X extends DurableObject` in a library does no harm.
// Exported to user code by modules.ts; known to worker.ts.

export class WorkerEntrypoint {
  readonly ctx: unknown;
  readonly env: unknown;

  constructor(ctx: unknown, env: unknown) {
    this.ctx = ctx;
    this.env = env;
  }
}

type AnyClass = new (...args: unknown[]) => object;

export const RpcTarget = class RpcTarget extends Object {} as AnyClass;
export const DurableObject = unmakable('DurableObject', 'a Durable Object, and Virga has none: keep its state in a database');
export const WorkflowEntrypoint = unmakable('WorkflowEntrypoint', 'a workflow, and Virga has none');
export const RpcStub = unmakable('RpcStub', 'of service bindings, and Virga has none');

/** `reason` follows the name of the class and "is". */
export function unmakable(name: string, reason: string): AnyClass {
  function made(): never {
    throw new TypeError(`${new.target?.name || name} is ${reason}`);
  }
  Object.defineProperty(made, 'name', { value: name });
  return made as unknown as AnyClass;
}
