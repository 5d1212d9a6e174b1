// An invocation as a program gets it, and the environment that the program runs in, in AWS Lambda's words.
import type { InitPayload } from '../../../../protocol/frames.ts';
import { toEvent } from '../../api-gateway.ts';
import type { Invocation } from '../../invocation.ts';
import type { Assignment } from './assignments.ts';

export async function assignmentOf(
  invocation: Invocation,
  init: InitPayload,
): Promise<Pick<Assignment, 'id' | 'invocation' | 'headers' | 'event'>> {
  const { meta } = invocation;
  const body = await invocation.body.readAll();
  const event = meta.kind === 'http' ? Buffer.from(JSON.stringify(toEvent(meta, body))) : body.length === 0 ? Buffer.from('{}') : body;
  const headers = [
    'content-type',
    meta.kind === 'http' ? 'application/json' : meta.contentType,
    'content-length',
    String(event.length),
    'Lambda-Runtime-Aws-Request-Id',
    meta.id,
    'Lambda-Runtime-Deadline-Ms',
    String(Math.round(Date.now() + invocation.remainingMs)),
    'Lambda-Runtime-Invoked-Function-Arn',
    `arn:aws:lambda:us-east-1:000000000000:function:${init.function}`,
    'Lambda-Runtime-Trace-Id',
    meta.trace,
  ];
  return { id: meta.id, invocation, headers, event };
}

export function programEnvironment(init: InitPayload, { api, taskRoot }: { api: string; taskRoot: string }): Record<string, string> {
  const [, handler = ''] = init.handler.split('#', 2);
  return { ...(process.env as Record<string, string>), AWS_LAMBDA_RUNTIME_API: api, LAMBDA_TASK_ROOT: taskRoot, _HANDLER: handler };
}
