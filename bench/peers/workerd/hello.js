// The handler under workerd.
export default {
  async fetch(request) {
    if (request.method === 'POST') {
      return new Response(await request.arrayBuffer(), { headers: { 'content-type': 'application/octet-stream' } });
    }
    return new Response('hello', { headers: { 'content-type': 'text/plain' } });
  },
};
