// The keys of queues and streams on the bus: `<project>/<kind>/<name>`, so that everything of a project has one prefix. Names hold no
// slash but for the last part, which may. Used by whoever names one.

export const QUEUE_KINDS = [
  'queue',
  'topic',
  'event',
  'schedule',
  'async',
  'workflow',
  'wait',
  'webhook',
  'stream',
  'dead',
  'redrive',
] as const;
/**
 * queue: of the project. topic, event, schedule: what one trigger of a function has to deliver, `<source>/<function>`. async: asynchronous
 * invocations, by function. workflow: runs that go on, by function. wait: `events`, that runs may wait for. webhook: `<topic>/<subscription>`. stream: what a trigger of a stream
 * gave up and gets once more, `<stream>/<function>`. dead: dead letters, `<kind>/<name>` of the queue that they died in. redrive: dead
 * letters that are being moved back (control/redrives.ts).
 */
export type QueueKind = (typeof QUEUE_KINDS)[number];

export function queueKey(project: string, kind: QueueKind, name: string): string {
  return `${project}/${kind}/${name}`;
}

/** Where what dies in a queue goes, unless the project says otherwise. */
export function deadKey(key: string): string {
  const { project, kind, name } = keyParts(key);
  return `${project}/dead/${kind}/${name}`;
}

export function streamKey(project: string, name: string): string {
  return `${project}/stream/${name}`;
}

/** Whether it is a stream itself: what its triggers gave up has the same kind, and a name of two parts. */
export function isStreamKey(key: string): boolean {
  const { kind, name } = keyParts(key);
  return kind === 'stream' && !name.includes('/');
}

export function keyParts(key: string): { project: string; kind: string; name: string } {
  const [project = '', kind = '', ...name] = key.split('/');
  return { project, kind, name: name.join('/') };
}
