// Orders from a queue. What cannot be fulfilled now comes again, alone.
export const handler = async (event) => {
  const batchItemFailures = [];
  for (const { messageId, body, attributes } of event.Records) {
    try {
      const order = JSON.parse(body);
      if (order.count > 100) throw new Error(`there are not ${order.count} of ${order.item}`);
      console.log(`order ${order.id} is on its way, at the attempt ${attributes.ApproximateReceiveCount}`);
    } catch (error) {
      console.error(`${messageId}: ${error.message}`);
      batchItemFailures.push({ itemIdentifier: messageId });
    }
  }
  return { batchItemFailures };
};
