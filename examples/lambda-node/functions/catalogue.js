// What the shop has, as a Fastify app.
const awsLambdaFastify = require('@fastify/aws-lambda');
const fastify = require('fastify');

const ITEMS = { lamp: { name: 'Lamp', price: 30 }, chair: { name: 'Chair', price: 80 } };

function build() {
  const app = fastify();
  app.get('/catalogue', (request, reply) => {
    const below = Number(request.query.below ?? Infinity);
    reply.send(Object.values(ITEMS).filter(({ price }) => price < below));
  });
  app.get('/catalogue/:id', (request, reply) => {
    const item = ITEMS[request.params.id];
    if (item === undefined) return void reply.code(404).send({ message: `there is no ${request.params.id}` });
    reply.header('set-cookie', ['seen=1', 'shop=' + process.env.SHOP]);
    reply.send({ ...item, requestId: request.awsLambda.context.awsRequestId });
  });
  return app;
}

exports.handler = awsLambdaFastify(build(), { decorateRequest: true });
