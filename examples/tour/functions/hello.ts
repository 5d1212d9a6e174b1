// The smallest function: web style, a Request in and a Response out.
import type { Context, WebFunction } from '@virga/sdk';

interface Greeting {
  name?: string;
}

export default {
  /** GET / and GET /hello/{name} */
  fetch(request: Request, context: Context): Response {
    const name = context.params['name'] ?? new URL(request.url).searchParams.get('name') ?? 'world';
    console.log(`greeting ${name}`);
    return Response.json({ message: `Hello, ${name}!`, function: context.function, version: context.version });
  },

  /** virga invoke hello --data '{"name":"Ada"}' */
  event(payload: Greeting | null): { message: string } {
    return { message: `Hello, ${payload?.name ?? 'world'}!` };
  },
} satisfies WebFunction;
