// As Google's guides write functions, one for each signature.
const functions = require('@google-cloud/functions-framework');

functions.http('greet', (request, response) => {
  response.json({ hello: request.query.name ?? request.body?.name ?? 'world', path: request.path });
});

functions.cloudEvent('audit', (event) => {
  console.log(`audited ${event.type} ${event.id} from ${event.source}: ${JSON.stringify(event.data)}`);
  if (event.data?.fail) throw new Error('not on my watch');
});
