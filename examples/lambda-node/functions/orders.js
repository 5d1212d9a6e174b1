// Orders, as an Express app that API Gateway calls.
const serverlessExpress = require('@codegenie/serverless-express');
const express = require('express');

const app = express();
const orders = new Map();

app.use(express.json());

app.get('/orders', (request, response) => {
  const wanted = request.query.status;
  response.json([...orders.values()].filter((order) => wanted === undefined || order.status === wanted));
});

app.post('/orders', (request, response) => {
  const { id, item, count } = request.body;
  if (typeof id !== 'string' || !(count > 0)) return void response.status(422).json({ message: 'an order has an id, an item and a count' });
  orders.set(id, { id, item, count, status: 'open' });
  response.cookie('last-order', id).cookie('shop', process.env.SHOP).status(201).location(`/orders/${id}`).json(orders.get(id));
});

app.get('/orders/:id', (request, response) => {
  const order = orders.get(request.params.id);
  if (order === undefined) return void response.sendStatus(404);
  response.json(order);
});

app.get('/orders/:id/label.png', (request, response) => {
  response.type('png').send(Buffer.from([0x89, 0x50, 0x4e, 0x47, 0, 255]));
});

// What the app knows of where it runs.
app.get('/orders/debug/event', (request, response) => {
  const { event, context } = serverlessExpress.getCurrentInvoke();
  response.json({
    version: event.version,
    resource: event.resource,
    requestId: context.awsRequestId,
    ip: request.ip,
    url: request.originalUrl,
    agent: request.get('user-agent'),
  });
});

exports.handler = serverlessExpress({ app });
