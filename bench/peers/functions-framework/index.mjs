// The handler under Google's functions-framework.
export function hello(request, response) {
  if (request.method === 'POST') response.set('content-type', 'application/octet-stream').send(request.rawBody);
  else response.set('content-type', 'text/plain').send('hello');
}
