// What happens in the shop, as it happens: a Hono app whose answers stream.
import { Hono } from 'hono';
import { streamHandle } from 'hono/aws-lambda';
import { streamSSE } from 'hono/streaming';

const app = new Hono();

app.get('/live/about', (c) => c.json({ shop: process.env.SHOP, requestId: c.env.context.awsRequestId }, 203, { 'x-shop': 'open' }));

app.get('/live/:count', (c) =>
  streamSSE(c, async (stream) => {
    for (let i = 1; i <= Number(c.req.param('count')); i++) {
      await stream.writeSSE({ event: 'sale', id: String(i), data: `sale ${i}` });
      await stream.sleep(100);
    }
  }),
);

export const handler = streamHandle(app);
