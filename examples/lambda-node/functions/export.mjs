// Every sale as CSV: streamed, since it may be longer than an answer can be.
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

function* rows(count) {
  yield 'sale,item,total\n';
  for (let i = 1; i <= count; i++) yield `${i},lamp,${i * 30}\n`;
}

export const handler = awslambda.streamifyResponse(async (event, responseStream) => {
  const count = Number(event.queryStringParameters?.count ?? 1000);
  const metadata = { statusCode: 200, headers: { 'content-type': 'text/csv', 'x-rows': String(count) }, cookies: ['exported=yes'] };
  await pipeline(Readable.from(rows(count)), awslambda.HttpResponseStream.from(responseStream, metadata));
});
