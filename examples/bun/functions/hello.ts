import { greeting } from './words.ts';

declare const Bun: { version: string };

export default {
  async fetch(request: Request): Promise<Response> {
    const { pathname } = new URL(request.url);
    // Events come as a POST to /.
    if (request.method === 'POST') {
      const type = request.headers.get('ce-type');
      if (type?.endsWith('.refused') === true) return new Response('not this one', { status: 422 });
      console.log(`event ${type}`);
      return Response.json({ type, data: await request.json() });
    }
    return Response.json({ message: greeting(pathname.split('/')[2] ?? 'Bun'), runtime: `bun ${Bun.version}` });
  },
};
