// A program that listens itself, by Bun's own server.
interface BunSocket {
  send(data: string | Uint8Array): void;
}
interface BunServer {
  upgrade(request: Request): boolean;
  stop(): Promise<void>;
}
declare const Bun: { serve(options: object): BunServer };

const server = Bun.serve({
  port: Number(process.env['PORT']),
  async fetch(request: Request, own: BunServer): Promise<Response | undefined> {
    const { pathname } = new URL(request.url);
    if (own.upgrade(request)) return undefined;
    if (pathname === '/live/echo') return new Response(request.body);
    if (pathname === '/live/crash') process.exit(4);
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
  },
  websocket: {
    message: (socket: BunSocket, message: string | Uint8Array) => socket.send(message),
  },
});

process.on('SIGTERM', () => {
  console.log('SIGTERM: stopping');
  void server.stop().then(() => process.exit(0));
});
