// One TCP connection of a sandbox, carried on to where it was going: bytes both ways with backpressure, half-closed where
// one side has said all it had, cut when either is cut, idle or refused.
//
//   accepted ─▶ judged ─▶ connecting ─▶ open ─▶ closed
//                 └─ refused: reset (what was accepted cannot be refused any more: the program sees ECONNRESET)
//
// Invariant: the address that was judged is the one that is connected to. Memory is bounded by the streams' buffers,
// time by CONNECT_MS and IDLE_MS. Caller: namespace.ts.
import { connect, type Socket } from 'node:net';
import { unmapped } from '../../protocol/reserved-addresses.ts';
import type { Tenant } from './tenant.ts';

const CONNECT_MS = 10_000;
const IDLE_MS = 15 * 60_000;

export interface Destination {
  address: string;
  port: number;
}

/** `inner` is paused and nothing of it has been read. */
export function forward(inner: Socket, { address, port }: Destination, tenant: Tenant): void {
  const verdict = tenant.policy.judge(address, port, performance.now());
  if (!verdict.allowed) {
    tenant.refused(tenant.destination(address, port), verdict);
    inner.resetAndDestroy();
    return;
  }
  const outer = connect({ host: unmapped(address), port, allowHalfOpen: true, noDelay: true });
  tenant.sockets.add(outer);
  inner.setNoDelay(true);
  const fail = (why: string): void => {
    tenant.failed(tenant.destination(address, port), why);
    outer.destroy();
    inner.resetAndDestroy();
  };
  outer.setTimeout(CONNECT_MS, () => fail(`it did not answer within ${CONNECT_MS / 1000} s`));
  outer.once('error', (error: NodeJS.ErrnoException) => {
    if (outer.connecting || error.syscall === 'connect') fail(error.code ?? error.message);
  });
  outer.once('connect', () => {
    outer.removeAllListeners('timeout');
    // Every byte either way passes through this socket, so one clock is enough.
    outer.setTimeout(IDLE_MS, () => {
      outer.resetAndDestroy();
      inner.resetAndDestroy();
    });
    inner.pipe(outer);
    outer.pipe(inner);
  });
  outer.on('error', () => inner.resetAndDestroy());
  inner.on('error', () => outer.resetAndDestroy());
  outer.once('close', () => {
    tenant.sockets.delete(outer);
    // A clean end has been passed on by the pipe; anything else must not look like one.
    if (!outer.readableEnded) inner.resetAndDestroy();
  });
  inner.once('close', () => {
    if (!inner.readableEnded || !inner.writableFinished) outer.resetAndDestroy();
  });
}
