import { env, waitUntil, WorkerEntrypoint } from 'cloudflare:workers';
import { AutoRouter, error } from 'itty-router';

const shelves = new Map([['rain', 3]]);

const router = AutoRouter({ base: '/stock' });

router
  .get('/', () => ({ warehouse: env.WAREHOUSE, books: Object.fromEntries(shelves) }))
  .get('/:book', ({ book }) => (shelves.has(book) ? { book, copies: shelves.get(book) } : error(404, `no shelf for ${book}`)))
  .put('/:book', async (request) => {
    const { copies } = await request.json();
    if (!Number.isInteger(copies)) return error(400, 'copies must be a whole number');
    shelves.set(request.params.book, copies);
    waitUntil(scheduler.wait(5).then(() => console.log(`${request.params.book}: ${copies} copies`)));
    return { book: request.params.book, copies };
  });

export default class Stock extends WorkerEntrypoint {
  fetch(request) {
    return router.fetch(request, this.env, this.ctx);
  }
}
