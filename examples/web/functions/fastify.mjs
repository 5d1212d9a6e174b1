// A Fastify app with a schema for its answers, and notes in memory.
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

// How many requests it has seen at once.
let running = 0;
let most = 0;
app.get('/fastify/together', async () => {
  most = Math.max(most, ++running);
  await new Promise((resolve) => setTimeout(resolve, 300));
  running--;
  return { most };
});

await app.listen({ port: Number(process.env.PORT), host: '0.0.0.0' });
