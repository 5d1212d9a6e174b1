// An invocation as a program gets it, and the environment that the program runs in, in AWS Lambda's words. Invariant: a payload
// that is no CloudEvent reaches the program byte by byte, never parsed here. Called by provided.ts and whole-answer.ts.
import { dirname } from 'node:path';
import { CLOUD_EVENT_TYPE } from '../../../../protocol/events.ts';
import type { InitPayload, RequestMeta } from '../../../../protocol/frames.ts';
import type { Invocation } from '../../invocation.ts';
import { contextOf, lambdaEnvironment } from '../lambda/environment.ts';
import type { LambdaIdentity } from '../lambda/environment.ts';
import { toLambdaEvent } from '../lambda/events.ts';
import type { Given } from './assignments.ts';

const NOTHING = '{}';

/** What AWS sets for a custom runtime, over the function's own environment. */
export function programEnvironment(init: InitPayload, identity: LambdaIdentity, api: string): Record<string, string> {
  const [, handler = 'bootstrap'] = init.handler.split('#', 2);
  return {
    ...(process.env as Record<string, string>),
    // Node is to be found by `#!/usr/bin/env node`.
    ...lambdaEnvironment({ ...init, binaries: dirname(process.execPath) }, identity),
    _HANDLER: handler,
    AWS_LAMBDA_RUNTIME_API: api,
  };
}

export async function assignmentOf(invocation: Invocation, identity: LambdaIdentity, httpEvent: string | undefined): Promise<Given> {
  const { meta } = invocation;
  const sent = invocation.body.whole ?? (await invocation.body.readAll());
  const event = isTranslated(meta) ? toLambdaEvent(meta, sent, { identity, httpEvent }) : undefined;
  const body = event !== undefined ? JSON.stringify(event) : sent.length === 0 ? NOTHING : sent;
  const facts = contextOf(identity, invocation);
  const client =
    meta.kind === 'event' && meta.clientContext !== undefined ? `Lambda-Runtime-Client-Context: ${meta.clientContext}\r\n` : '';
  const trace = facts.traceHeader === '' ? '' : `Lambda-Runtime-Trace-Id: ${facts.traceHeader}\r\n`;
  const headers = `Content-Type: ${event === undefined ? typeOf(meta) : 'application/json'}\r
Lambda-Runtime-Aws-Request-Id: ${facts.awsRequestId}\r
Lambda-Runtime-Deadline-Ms: ${facts.deadlineMs}\r
Lambda-Runtime-Invoked-Function-Arn: ${facts.invokedFunctionArn}\r
${trace}${client}`;
  return { id: facts.awsRequestId, invocation, headers, event, body };
}

export function isTranslated(meta: RequestMeta): boolean {
  return meta.kind === 'http' || meta.contentType.toLowerCase().startsWith(CLOUD_EVENT_TYPE);
}

function typeOf(meta: RequestMeta): string {
  return meta.kind === 'event' && meta.contentType !== '' ? meta.contentType : 'application/json';
}
