// A Fastify app with a schema for its answers, and notes in memory.
import { EventEmitter, once } from 'node:events';
import { setTimeout } from 'node:timers/promises';
import Fastify from 'fastify';

const app = Fastify({ logger: true, trustProxy: true });
const notes = new Map();

app.get('/fastify', { schema: { response: { 200: { type: 'object', properties: { hello: { type: 'string' } } } } } }, async () => ({
  hello: 'fastify',
  hidden: true,
}));

app.put('/fastify/notes/:id', async (request, reply) => {
  const isNew = !notes.has(request.params.id);
  notes.set(request.params.id, request.body);
  return reply.code(isNew ? 201 : 200).send(request.body);
});

app.get('/fastify/notes/:id', async (request, reply) => notes.get(request.params.id) ?? reply.code(404).send({ error: 'no such note' }));

app.delete('/fastify/notes/:id', async (request, reply) => reply.code(notes.delete(request.params.id) ? 204 : 404).send());

// Requests that wait for each other: they are answered when as many as `of` says are here at once, or after ten seconds.
const meeting = new EventEmitter().setMaxListeners(0);
let here = 0;
let most = 0;
app.get('/fastify/together', async (request) => {
  most = Math.max(most, ++here);
  if (here >= Number(request.query.of)) meeting.emit('all here');
  else await Promise.race([once(meeting, 'all here'), setTimeout(10_000)]);
  here--;
  return { most };
});

await app.listen({ port: Number(process.env.PORT), host: '0.0.0.0' });
