// A notes API with path parameters. The notes live in the memory of this one instance (virga.yaml allows only one), so
// they last as long as it does: until it has been idle for a while, is redeployed, or Virga stops. Virga's database,
// which keeps things, comes later.
import type { Context, WebFunction } from '@virga/sdk';

interface Note {
  id: string;
  title: string;
  text: string;
  updatedAt: string;
}

const NOTES_MAX = 1_000;
const TEXT_CHARACTERS_MAX = 10_000;

const notes = new Map<string, Note>();
let lastId = 0;

export default {
  async fetch(request: Request, context: Context): Promise<Response> {
    const id = context.params['id'];
    if (id === undefined) return request.method === 'POST' ? await create(request) : Response.json([...notes.values()]);
    if (request.method === 'PUT') return await put(id, request);
    const note = notes.get(id);
    if (note === undefined) return problem(404, `there is no note '${id}'`);
    if (request.method !== 'DELETE') return Response.json(note);
    notes.delete(id);
    console.log(`removed note ${id}`);
    return new Response(null, { status: 204 });
  },
} satisfies WebFunction;

async function create(request: Request): Promise<Response> {
  do lastId += 1;
  while (notes.has(String(lastId)));
  const id = String(lastId);
  const answer = await put(id, request);
  if (answer.status === 201) answer.headers.set('location', `notes/${id}`);
  return answer;
}

async function put(id: string, request: Request): Promise<Response> {
  if (!/^[\w-]{1,64}$/.test(id)) return problem(422, 'the id of a note has up to 64 letters, digits, _ and -');
  const fields = await bodyOf(request);
  if (fields === undefined) return problem(400, 'send JSON such as {"title":"Shopping","text":"Bread"}');
  const { title = '', text = '' } = fields;
  if (typeof title !== 'string' || typeof text !== 'string') return problem(422, 'title and text are texts');
  if (title === '' && text === '') return problem(422, 'a note has a title or a text');
  if (title.length + text.length > TEXT_CHARACTERS_MAX) return problem(413, `a note has at most ${TEXT_CHARACTERS_MAX} characters`);
  const isNew = !notes.has(id);
  if (isNew && notes.size >= NOTES_MAX) return problem(507, `there are ${NOTES_MAX} notes already; delete one first`);
  const note: Note = { id, title, text, updatedAt: new Date().toISOString() };
  notes.set(id, note);
  console.log(`${isNew ? 'new' : 'changed'} note ${id}`);
  return Response.json(note, { status: isNew ? 201 : 200 });
}

async function bodyOf(request: Request): Promise<Record<string, unknown> | undefined> {
  try {
    const value: unknown = await request.json();
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function problem(status: number, message: string): Response {
  return Response.json({ error: message }, { status });
}
