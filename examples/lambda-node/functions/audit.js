// Notes what happened, wherever it comes from, in the style of the first Node runtimes.
function describe(event) {
  if (event.source === 'aws.events') return `due: ${event.resources[0].split('/').pop()} at ${event.time}`;
  if (event['detail-type'] !== undefined) return `${event['detail-type']} of ${event.source}: ${JSON.stringify(event.detail)}`;
  return event.Records.map((record) => {
    if (record.Sns !== undefined) return `${record.Sns.Subject}: ${record.Sns.Message}`;
    if (record.s3 !== undefined)
      return `${record.eventName} ${record.s3.bucket.name}/${decodeURIComponent(record.s3.object.key.replace(/\+/g, ' '))}`;
    if (record.dynamodb !== undefined) return `${record.eventName} ${JSON.stringify(record.dynamodb.NewImage ?? record.dynamodb.Keys)}`;
    return `${record.eventSource} ${record.body}`;
  }).join('; ');
}

exports.handlers = {
  any(event, context, callback) {
    let note;
    try {
      note = describe(event);
    } catch (error) {
      return callback(error);
    }
    // The answer waits for this: it is still in the event loop.
    const trail = [note];
    setTimeout(() => trail.push(`noted by ${context.functionName} for ${context.invokedFunctionArn}`), 5);
    callback(null, trail);
  },
};
