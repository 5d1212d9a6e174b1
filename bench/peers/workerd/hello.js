// The handler under workerd.
export default {
  fetch() {
    return new Response('hello', { headers: { 'content-type': 'text/plain' } });
  },
};
