// Functions as Google's documents have them, in JavaScript: HTTP, CloudEvents, and the style of before the framework.
const functions = require('@google-cloud/functions-framework');

functions.http('greet', (req, res) => {
  const name = req.query.name ?? req.body?.name ?? 'World';
  res.set('x-raw-bytes', String(req.rawBody?.length ?? 0));
  res.cookie('seen', name, { httpOnly: true });
  res.send(`Hello ${name}!`);
});

// Server-sent events: what is written is with the client at once.
functions.http('countdown', (req, res) => {
  res.type('text/event-stream');
  let left = Number(req.query.from ?? 3);
  const timer = setInterval(() => {
    res.write(`data: ${left}\n\n`);
    if (left-- > 0) return;
    clearInterval(timer);
    res.end();
  }, 10);
});

functions.http('broken', async () => {
  throw new Error('as it should');
});

functions.cloudEvent('onEvent', (event) => {
  console.log(JSON.stringify(event));
  const message = event.data?.message;
  const text = message === undefined ? undefined : Buffer.from(message.data, 'base64').toString();
  if (text === 'poison') throw new Error('this message cannot be handled');
  return { type: event.type, subject: event.subject, text };
});

// A background function: FUNCTION_SIGNATURE_TYPE is `event`.
exports.onUpload = (file, context) => {
  console.log(JSON.stringify({ name: file.name, bucket: file.bucket, context }));
};

exports.plain = (req, res) => res.status(201).json({ method: req.method, path: req.path, body: req.body });
