// The features of the gateway, in the order in which a request meets them. Deleting one is deleting its line here, its folder,
// and its schema in protocol/policies. Called by server/edge.ts, and for each route by read-model-load.ts.
import { CacheFeature } from './cache/cache.ts';
import type { CacheStore } from './cache/store.ts';
import { CorsFeature } from './cors/cors.ts';
import { RewriteFeature } from './rewrite/rewrite.ts';
import { SecurityHeadersFeature } from './security-headers/security-headers.ts';
import type { Hub } from './websocket/hub.ts';
import { WebSocketFeature } from './websocket/websocket.ts';
import type { Feature, RouteSource, Stage, Stages } from './stage.ts';
import type { StaticFiles } from './static/static-files.ts';
import type { Quotas } from './throttle/quotas.ts';
import { ThrottleFeature } from './throttle/throttle.ts';

/** What features need of the edge that they run in. */
export interface GatewayServices {
  quotas: Quotas;
  cache: CacheStore;
  files: StaticFiles;
  limits: { throttleBucketsMax: number };
  /** The WebSockets of this node. */
  sockets: Hub;
}

export function gatewayFeatures({ quotas, cache, limits, sockets }: GatewayServices): Feature[] {
  return [
    new CorsFeature(),
    new SecurityHeadersFeature(),
    new WebSocketFeature(sockets),
    new ThrottleFeature({ quotas, bucketsMax: limits.throttleBucketsMax }),
    // What the function sees is decided last: all others look at what the client sent. But for the cache, which holds what the
    // function says to what it sees.
    new RewriteFeature(),
    new CacheFeature(cache),
  ];
}

/** The stages of a route; undefined: it has none. */
export function compileStages(features: readonly Feature[], source: RouteSource): Stages | undefined {
  const stages = features.map((feature) => feature.compile(source)).filter((stage) => stage !== undefined);
  if (stages.length === 0) return undefined;
  const having = (part: keyof Stage): Stage[] => stages.filter((stage) => stage[part] !== undefined);
  const body = having('onBody');
  return {
    head: having('onHead'),
    body,
    bodyBytesMax: body.length === 0 ? 0 : Math.min(...body.map((stage) => stage.bodyBytesMax ?? Infinity)),
    preflight: having('onPreflight')[0],
    answer: having('onAnswer'),
    around: having('around'),
    upgrade: having('onUpgrade')[0],
    end: having('onEnd'),
  };
}
