// What the cache of the gateway says of itself, from the edge through the control API to the command line.

export interface CacheCounts {
  hits: number;
  /** Of the hits: those given after their time. */
  stale: number;
  misses: number;
  /** Of the hits: those that waited for the call of another request. */
  coalesced: number;
  /** Not looked for: another protocol, a body, a precondition. */
  bypassed: number;
  stored: number;
  /** Taken out to make room. */
  evictions: number;
  /** Taken out by a purge, a deployment, or a request that changed what they are of. */
  purged: number;
}

/** Of one project, since the edge started. */
export interface CacheStats extends CacheCounts {
  entries: number;
  /** What its entries cost, and what they may at most. */
  bytes: number;
  bytesMax: number;
  /** All projects together. */
  node: { bytes: number; bytesMax: number };
}

export interface CachePurged {
  entries: number;
  bytes: number;
}
