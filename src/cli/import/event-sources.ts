// What to say about event sources that a function had elsewhere and that Virga does not have. Used by the readers of all formats.

export type SourceKind = 'schedule' | 'queue' | 'topic' | 'bucket' | 'table' | 'stream' | 'bus' | 'websocket' | 'other';

const LACKS: Record<SourceKind, string> = {
  schedule: 'Virga has no schedules yet; until then call it from cron, with `virga invoke`',
  queue: 'Virga has no queues yet; until then whatever fills the queue can call it with `virga invoke`, with the same event',
  topic: 'Virga has no topics yet; until then whatever publishes can call it with `virga invoke`, with the same event',
  bucket: 'Virga has no buckets yet; until then whatever writes the object can call it with `virga invoke`, with the same event',
  table: 'Virga has no tables yet; until then whatever changes the table can call it with `virga invoke`, with the same event',
  stream: 'Virga has no streams; send each batch with `virga invoke`',
  bus: 'Virga has no event bus yet; until then whatever emits the event can call it with `virga invoke`, with the same event',
  websocket:
    'give one function a route with `websocket: {routeSelection: …}`: it gets all of these events, with their routeKey, and sends with `connections` of @virga/sdk',
  other: 'Virga has no such source; call it with `virga invoke`, or give it a route',
};

export function remedyForSource(kind: SourceKind): string {
  return LACKS[kind];
}
