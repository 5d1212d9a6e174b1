import { Hono } from 'hono';

const notes = new Map<string, string>();
const app = new Hono();

app.get('/notes', (c) => c.json(Object.fromEntries(notes)));
app.get('/notes/:id', (c) => {
  const note = notes.get(c.req.param('id'));
  return note === undefined ? c.json({ error: 'no such note' }, 404) : c.text(note);
});
app.put('/notes/:id', async (c) => {
  notes.set(c.req.param('id'), await c.req.text());
  return c.body(null, 204);
});

export default app;
