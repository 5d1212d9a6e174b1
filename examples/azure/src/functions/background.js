// What is not HTTP: a queue, a timer, uploads. Each says in the log what it got.
const { app } = require('@azure/functions');
const ledger = require('../ledger');

app.storageQueue('fulfil', {
  queueName: '%ORDERS_QUEUE%',
  connection: 'AzureWebJobsStorage',
  handler: async (order, context) => {
    const { dequeueCount, id, insertionTime, queueTrigger } = context.triggerMetadata;
    context.log(JSON.stringify({ order, dequeueCount, id, insertionTime, queueTrigger }));
    if (order.fail === true) throw new Error(`order ${order.id} cannot be fulfilled`);
  },
});

app.timer('nightly', {
  schedule: '0 0 3 * * *',
  handler: (timer, context) => {
    context.log(JSON.stringify(timer));
    return { orders: ledger.all().length, isPastDue: timer.isPastDue };
  },
});

app.storageBlob('thumbnail', {
  path: 'uploads/{folder}/{name}.{extension}',
  connection: 'AzureWebJobsStorage',
  handler: (blob, context) => {
    const { blobTrigger, folder, name, extension, properties } = context.triggerMetadata;
    context.log(JSON.stringify({ text: blob.toString(), blobTrigger, folder, name, extension, contentLength: properties.contentLength }));
  },
});
