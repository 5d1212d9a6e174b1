// A program that listens itself, by Deno's own server.
interface DenoHttp {
  env: { get(name: string): string | undefined };
  exit(code: number): never;
  addSignalListener(signal: string, listener: () => void): void;
  serve(options: object, handler: (request: Request) => Response): { shutdown(): Promise<void> };
  upgradeWebSocket(request: Request): { socket: WebSocket; response: Response };
}
declare const Deno: DenoHttp;

const server = Deno.serve({ port: Number(Deno.env.get('PORT')) }, (request) => {
  const { pathname } = new URL(request.url);
  if (request.headers.get('upgrade') === 'websocket') {
    const { socket, response } = Deno.upgradeWebSocket(request);
    socket.addEventListener('message', ({ data }) => socket.send(data as string));
    return response;
  }
  if (pathname === '/live/echo') return new Response(request.body);
  if (pathname === '/live/crash') Deno.exit(4);
  if (pathname === '/live/ticks') {
    return new Response(
      new ReadableStream({
        async start(controller) {
          for (let n = 0; n < 3; n++) {
            controller.enqueue(new TextEncoder().encode(`data: ${n}\n\n`));
            await new Promise((resolve) => setTimeout(resolve, 100));
          }
          controller.close();
        },
      }),
      { headers: { 'content-type': 'text/event-stream' } },
    );
  }
  return new Response('live');
});

Deno.addSignalListener('SIGTERM', () => {
  console.log('SIGTERM: stopping');
  void server.shutdown().then(() => Deno.exit(0));
});
