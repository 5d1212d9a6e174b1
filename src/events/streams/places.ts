// Places on this node for calls of stream readers: the same that deliveries of queues take theirs from, so that neither crowds out the
// other, and no project another. Implemented by server/edge.ts over events/deliver/.

export interface Places {
  /** Resolves when there is one, with what gives it back; undefined: `signal` came first. */
  take(
    of: { project: string; function: string; /** That are held meanwhile. */ bytes: number },
    signal: AbortSignal,
  ): Promise<(() => void) | undefined>;
}
