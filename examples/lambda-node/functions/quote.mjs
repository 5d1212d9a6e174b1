// A price for an order, with Middy's middleware: JSON in, errors of HTTP out.
import { middy } from '@middy/core';
import httpErrorHandler from '@middy/http-error-handler';
import httpJsonBodyParser from '@middy/http-json-body-parser';

class Refused extends Error {
  statusCode = 422;
  expose = true;
}

async function quote(event) {
  const { item, count } = event.body;
  if (!(count > 0)) throw new Refused(`count is ${count}; a quote is for one piece at least`);
  return { statusCode: 200, headers: { 'content-type': 'application/json' }, body: JSON.stringify({ item, total: 30 * count }) };
}

export const handler = middy()
  .use(httpJsonBodyParser())
  .use(httpErrorHandler({ logger: false }))
  .handler(quote);
