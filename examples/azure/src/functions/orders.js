// The HTTP side: orders are placed and looked up.
const { app } = require('@azure/functions');
const ledger = require('../ledger');

app.post('placeOrder', {
  route: 'orders',
  handler: async (request, context) => {
    const order = await request.json();
    if (typeof order.id !== 'number') return { status: 400, jsonBody: { error: 'an order needs a numeric id' } };
    ledger.add(order);
    context.log(`order ${order.id} placed`);
    return {
      status: 201,
      headers: { location: `${new URL(request.url).pathname}/${order.id}` },
      cookies: [{ name: 'last-order', value: String(order.id), path: '/', httpOnly: true, sameSite: 'Lax', maxAge: 3600 }],
      jsonBody: order,
    };
  },
});

app.get('findOrder', {
  route: 'orders/{id:int}/{part?}',
  handler: async (request) => {
    const order = ledger.find(request.params.id);
    if (order === undefined) return { status: 404, jsonBody: { error: `there is no order ${request.params.id}` } };
    return { jsonBody: request.params.part === undefined ? order : (order[request.params.part] ?? null) };
  },
});

app.http('echo', {
  methods: ['GET', 'POST', 'PUT'],
  route: 'echo/{*rest}',
  handler: async (request, context) => ({
    jsonBody: {
      method: request.method,
      url: request.url,
      query: Object.fromEntries(request.query),
      params: request.params,
      body: await request.text(),
      functionName: context.functionName,
      invocationId: context.invocationId,
      traceParent: context.traceContext.traceParent,
      trigger: context.options.trigger.type,
    },
  }),
});

// The name is the route where none is given; a handler without a result answers 204.
app.http('health', { handler: () => {} });

app.http('fails', {
  handler: () => {
    throw new Error('as it should');
  },
});
