// Handlers for AWS Lambda's Node runtime, run by its runtime interface client.
import { setTimeout as sleep } from 'node:timers/promises';

export async function handler(event, context) {
  console.log('called as', context.functionName);
  if (event.fail) throw new RangeError(`asked to: ${event.fail}`);
  if (event.pathParameters) return { statusCode: 200, body: `Hello, ${event.pathParameters.name}` };
  if (event.rawPath) return { statusCode: 200, headers: { 'content-type': 'text/plain' }, body: event.body };
  if (event.Records)
    return {
      batchItemFailures: event.Records.filter(({ body }) => body === 'bad').map(({ messageId }) => ({ itemIdentifier: messageId })),
    };
  return { event, context, left: context.getRemainingTimeInMillis() };
}

export const stream = awslambda.streamifyResponse(async (event, responseStream) => {
  const body = awslambda.HttpResponseStream.from(responseStream, {
    statusCode: 202,
    headers: { 'content-type': 'text/plain' },
    cookies: ['a=1'],
  });
  const { fail, lines = '3' } = event.queryStringParameters ?? {};
  for (let n = 1; n <= Number(lines); n++) {
    body.write(`line ${n}\n`);
    await sleep(20);
  }
  if (fail) throw new Error('in the middle of it');
  body.end();
});
