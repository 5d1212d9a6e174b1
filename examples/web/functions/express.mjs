// An Express app as its documentation shows one, with a stream, server-sent events and a body that comes back.
import express from 'express';

const app = express();

app.get('/express', (request, response) => {
  response.json({ hello: request.query.name ?? 'world', service: process.env.K_SERVICE, host: request.hostname });
});

app.get('/express/events', (request, response) => {
  response.set({ 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
  let n = 0;
  const tick = () => {
    response.write(`event: tick\nid: ${++n}\ndata: ${Date.now()}\n\n`);
    if (n === 3) response.end();
  };
  tick();
  const timer = setInterval(tick, 200);
  response.on('close', () => clearInterval(timer));
});

app.post('/express/upper', (request, response) => {
  response.type('text/plain');
  request.setEncoding('utf8');
  request.on('data', (text) => response.write(text.toUpperCase()));
  request.on('end', () => response.end());
});

app.post('/express/echo', (request, response) => request.pipe(response));

app.post('/express/json', express.json({ limit: '1mb' }), (request, response) => response.status(201).json({ got: request.body }));

app.get('/express/wait', (request, response) => {
  request.on('close', () => console.log('the client left'));
  response.write('waiting');
});

app.get('/express/crash', () => {
  console.error('nothing can be done');
  process.exit(3);
});

// Events come as a POST to /.
app.post('/', express.json(), (request, response) => {
  console.log(`event ${request.get('ce-type') ?? 'without a type'}`);
  if (request.body?.fail) return response.status(500).send('it cannot be done');
  response.json({ type: request.get('ce-type') ?? null, id: request.get('ce-id') ?? null, data: request.body });
});

const server = app.listen(process.env.PORT, () => console.log(`listening on ${process.env.PORT}`));

process.on('SIGTERM', () => {
  console.log('SIGTERM: finishing');
  server.close(() => {
    console.log('finished');
    process.exit(0);
  });
  server.closeIdleConnections();
});
