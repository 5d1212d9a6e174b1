import { Hono } from 'hono';
import { HTTPException } from 'hono/http-exception';
import { stream } from 'hono/streaming';
import page from './page.html';

interface Env {
  SHOP: string;
  CURRENCY: string;
}

interface Order {
  book: string;
  copies: number;
}

const BOOKS: Record<string, { title: string; cents: number }> = {
  rain: { title: 'The Secret Knowledge of Water', cents: 1600 },
  clouds: { title: 'The Cloudspotter’s Guide', cents: 1450 },
};
const ordered = new Map<string, number>();
let counted: { at: number; copies: number } | undefined;

const app = new Hono<{ Bindings: Env }>();

app.use(async (c, next) => {
  await next();
  c.header('x-client', c.req.header('cf-connecting-ip') ?? 'nobody');
});

app.get('/', (c) => {
  const books = Object.values(BOOKS).map(({ title, cents }) => `<li>${title}: ${(cents / 100).toFixed(2)} ${c.env.CURRENCY}`);
  return c.html(page.replaceAll('{{shop}}', c.env.SHOP).replace('{{books}}', books.join('\n')));
});

app.get('/books/:id', async (c) => {
  const cache = caches.default;
  const cached = await cache.match(c.req.raw);
  if (cached !== undefined) return cached;
  const book = BOOKS[c.req.param('id')];
  if (book === undefined) throw new HTTPException(404, { message: `no book ${c.req.param('id')}` });
  const response = Response.json({ ...book, pricedAt: Date.now() }, { headers: { 'cache-control': 'max-age=60' } });
  c.executionCtx.waitUntil(cache.put(c.req.raw, response.clone()));
  return response;
});

app.post('/orders', async (c) => {
  const order = await c.req.json<Order>();
  take(order);
  return c.json({ ordered: ordered.get(order.book) }, 201);
});

app.get('/orders', (c) => c.json({ ordered: Object.fromEntries(ordered), counted }));

app.get('/export', (c) =>
  stream(c, async (out) => {
    c.header('content-type', 'text/csv');
    await out.write('book,cents\n');
    for (const [id, { cents }] of Object.entries(BOOKS)) {
      await out.sleep(10);
      await out.write(`${id},${cents}\n`);
    }
  }),
);

app.get('/fail', () => {
  throw new Error('the till is broken');
});

app.onError((error, c) => {
  if (error instanceof HTTPException) return error.getResponse();
  if (c.req.query('bare') !== undefined) throw error;
  return c.json({ error: error.message }, 500);
});

function take({ book, copies }: Order): void {
  if (BOOKS[book] === undefined) throw new HTTPException(422, { message: `no book ${book}` });
  if (!Number.isInteger(copies) || copies < 1) throw new HTTPException(422, { message: `${copies} copies cannot be ordered` });
  ordered.set(book, (ordered.get(book) ?? 0) + copies);
}

interface Batch {
  queue: string;
  messages: { id: string; body: unknown; attempts: number; ack(): void; retry(): void }[];
}

export default {
  fetch: app.fetch,

  scheduled({ scheduledTime }: { cron: string; scheduledTime: number }, env: Env, ctx: { waitUntil(work: Promise<unknown>): void }): void {
    const count = async (): Promise<void> => {
      const copies = [...ordered.values()].reduce((sum, one) => sum + one, 0);
      counted = { at: scheduledTime, copies };
      console.log(`${env.SHOP}: ${copies} copies were ordered`);
    };
    ctx.waitUntil(count());
  },

  /** What cannot be ordered comes again, in case the book arrives. */
  queue(batch: Batch): void {
    for (const message of batch.messages) {
      try {
        take(message.body as Order);
        message.ack();
      } catch (error) {
        console.warn(`${batch.queue}: message ${message.id}, attempt ${message.attempts}: ${(error as Error).message}`);
        message.retry();
      }
    }
  },
};
