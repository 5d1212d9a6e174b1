// Routes to workflows, as a stage: a request starts a run instead of calling the function, and the client gets 202 with the run's id. Its body
// is the input; `Idempotency-Key` is the id of the run, so that the same request starts one. Invariant: 202 is answered when the run is
// durable, and not before. Called by accept.ts through admit.ts.
import type { Starter } from '../../events/workflows/start-run.ts';
import { workflowSettings } from '../../events/workflows/workflow-rules.ts';
import type { CallRequest } from '../../functions/call.ts';
import { newSecretId } from '../../lib/ids.ts';
import { VirgaError } from '../../protocol/errors.ts';
import { principalText } from '../respond-async/status-routes.ts';
import { runFolder, runStatusPath } from './run-status.ts';
import type { Deferral, Feature, GatewayRequest, LocalAnswer, Refusal, RouteSource, Stage } from '../stage.ts';

export interface StartRunServices {
  starter: Pick<Starter, 'start' | 'startedOverHttp'>;
  bytesMax: number;
}

const JSON_TYPE = /^application\/(?:[\w.+-]+\+)?json\b/i;

export class StartRunFeature implements Feature {
  readonly #services: StartRunServices;

  constructor(services: StartRunServices) {
    this.#services = services;
  }

  compile({ workflow, policy, gateway }: RouteSource): Stage | undefined {
    if (workflow === undefined || policy.websocket !== undefined) return undefined;
    const { runsMax } = workflowSettings(workflow);
    const { bytesMax } = this.#services;
    const folder = runFolder(policy, gateway);
    return {
      instead: (request): Deferral => ({
        bodyBytesMax: bytesMax,
        tooLarge: () =>
          new VirgaError(
            'request_too_large',
            `the body is larger than the ${bytesMax} bytes of the input of a run (VIRGA_LIMIT_WORKFLOW_BYTES)`,
          ),
        take: (call, body) => this.#take(request, { call, body, runsMax, folder }),
      }),
    };
  }

  async #take(
    request: GatewayRequest,
    { call, body, runsMax, folder }: { call: CallRequest; body: Buffer; runsMax: number; folder: string },
  ): Promise<LocalAnswer | Refusal> {
    const { function: fn, version } = call.version;
    try {
      const { id, started } = await this.#services.starter.start({
        project: request.project,
        function: fn,
        version,
        runsMax,
        input: inputOf(request.header('content-type'), body),
        trigger: 'http',
        // Who knows the id may read the status, where nobody is asked for.
        id: request.header('idempotency-key') ?? newSecretId('run'),
        ...(request.principal === undefined ? {} : { principal: principalText(request.principal) }),
      });
      const status = runStatusPath(folder, request, { workflow: fn, id });
      const answer = { id, workflow: fn, version, started, ...(status === undefined ? {} : { status }) };
      const headers = ['content-type', 'application/json', 'cache-control', 'no-store'];
      if (status !== undefined) headers.push('location', status, 'retry-after', '1');
      return { status: 202, headers, body: Buffer.from(JSON.stringify(answer)) };
    } catch (error) {
      if (error instanceof VirgaError) return { error };
      return { error: new VirgaError('unavailable', 'the run could not be stored; try again', { cause: error }) };
    }
  }
}

/** JSON; nothing is null. */
function inputOf(type: string | undefined, body: Buffer): string {
  if (body.length === 0) return 'null';
  if (type !== undefined && !JSON_TYPE.test(type))
    throw new VirgaError('unsupported_media_type', `a run takes application/json, not ${type.slice(0, 80)}`);
  const text = body.toString('utf8');
  try {
    JSON.parse(text);
    return text;
  } catch (error) {
    throw new VirgaError('invalid_request', `the body is no JSON: ${(error as Error).message}`);
  }
}
