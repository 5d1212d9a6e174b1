// The handler under Google's functions-framework.
export function hello(_request, response) {
  response.set('content-type', 'text/plain').send('hello');
}
