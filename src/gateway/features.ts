// The features of the gateway, in the order in which a request meets them. Deleting one is deleting its line here, its folder,
// and its schema in protocol/policies. Called by server/edge.ts, and for each route by read-model-load.ts.
import { AddressFeature } from './addresses/addresses.ts';
import { AuthFeature } from './auth/auth.ts';
import { AuthServices } from './auth/services.ts';
import type { CallerServices } from './auth/services.ts';
import { CacheFeature } from './cache/cache.ts';
import type { CacheStore } from './cache/store.ts';
import { CorsFeature } from './cors/cors.ts';
import { HttpsFeature } from './https/https.ts';
import type { RecordingBuffer } from '../events/replay/recordings.ts';
import { RecordFeature } from './recording/recording.ts';
import { RespondAsyncFeature } from './respond-async/respond-async.ts';
import type { RespondAsyncServices } from './respond-async/respond-async.ts';
import type { PublishingNeeds } from './publishing/publish-target.ts';
import { RewriteFeature } from './rewrite/rewrite.ts';
import { SecurityHeadersFeature } from './security-headers/security-headers.ts';
import type { Hub } from './websocket/hub.ts';
import { WebSocketFeature } from './websocket/websocket.ts';
import type { Feature, RouteSource, Stage, Stages } from './stage.ts';
import type { StaticFiles } from './static/static-files.ts';
import type { Quotas } from './throttle/quotas.ts';
import { StartRunFeature } from './start-run/start-run.ts';
import type { StartRunServices } from './start-run/start-run.ts';
import { ThrottleFeature } from './throttle/throttle.ts';
import { ValidateFeature } from './validate/validate.ts';
import type { ValidateOptions } from './validate/validate.ts';
import { CanaryFeature } from './versions/canary.ts';
import { ShadowFeature } from './versions/shadow.ts';
import type { ShadowServices } from './versions/shadow.ts';

/** What features need of the edge that they run in. */
export interface GatewayServices extends ShadowServices {
  quotas: Quotas;
  callers: CallerServices;
  cache: CacheStore;
  files: StaticFiles;
  limits: ShadowServices['limits'] & { throttleBucketsMax: number };
  /** Port of HTTPS, as clients see it. */
  httpsPort: number;
  validate: ValidateOptions;
  /** The WebSockets of this node. */
  sockets: Hub;
  /** Where routes lead that are no functions. */
  publishing: PublishingNeeds;
  /** Asynchronous invocations. */
  async: RespondAsyncServices;
  /** Runs of workflows. */
  runs: StartRunServices;
  recordings: Pick<RecordingBuffer, 'add'>;
}

export function gatewayFeatures(services: GatewayServices): Feature[] {
  const { quotas, callers, cache, limits, httpsPort, validate, sockets, async, runs, recordings } = services;
  return [
    new HttpsFeature({ port: httpsPort }),
    new AddressFeature(),
    new CorsFeature(),
    new SecurityHeadersFeature(),
    new WebSocketFeature(sockets),
    new AuthFeature(new AuthServices(callers)),
    new ThrottleFeature({ quotas, bucketsMax: limits.throttleBucketsMax }),
    new ValidateFeature(validate),
    // Before the cache: what that keeps is of one version.
    new CanaryFeature(),
    // What the function sees is decided last: all others look at what the client sent. But for the cache, which holds what the
    // function says to what it sees.
    new RewriteFeature(),
    new CacheFeature(cache),
    new ShadowFeature(services),
    // Beside what the function sees.
    new RecordFeature(recordings),
    new StartRunFeature(runs),
    new RespondAsyncFeature(async),
  ];
}

/** The stages of a route; undefined: it has none. */
export function compileStages(features: readonly Feature[], source: RouteSource): Stages | undefined {
  const stages = features.map((feature) => feature.compile(source)).filter((stage) => stage !== undefined);
  if (stages.length === 0) return undefined;
  const having = (part: keyof Stage): Stage[] => stages.filter((stage) => stage[part] !== undefined);
  const readers = having('onBody');
  const first = readers.length === 0 ? stages.length : stages.indexOf(readers[0]!);
  return {
    head: stages.slice(0, first + 1).filter((stage) => stage.onHead !== undefined),
    // Nobody may answer before who stands in front of him has let the request pass.
    body: stages
      .slice(first)
      .flatMap((stage, at) => [
        ...(at > 0 && stage.onHead !== undefined ? [{ stage, part: 'onHead' as const }] : []),
        ...(stage.onBody === undefined ? [] : [{ stage, part: 'onBody' as const }]),
      ]),
    bodyBytesMax: readers.length === 0 ? 0 : Math.min(...readers.map((stage) => stage.bodyBytesMax ?? Infinity)),
    preflight: having('onPreflight')[0],
    answer: having('onAnswer'),
    around: having('around'),
    call: having('onCall'),
    instead: having('instead')[0],
    upgrade: having('onUpgrade')[0],
    end: having('onEnd'),
  };
}
