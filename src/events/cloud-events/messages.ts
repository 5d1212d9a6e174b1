// Between CloudEvents and the messages of queues and topics: an event becomes a message whose body is its data, as a CloudEvents
// binding for message queues has it; and what a loosely written event lacks. Used by control/, guest-publishing.ts, gateway/.
import { newId } from '../../lib/ids.ts';
import type { CloudEvent } from '../../protocol/events.ts';

interface EventMessage {
  id: string;
  body: string;
  attributes: Record<string, string>;
}

/** Bytes stay base64, which an attribute says. */
export function eventAsMessage(event: CloudEvent): EventMessage {
  const { data, data_base64: base64, ...context } = event;
  const attributes: Record<string, string> = {};
  for (const [name, value] of Object.entries(context))
    attributes[name === 'datacontenttype' ? 'content-type' : `ce-${name}`] = String(value);
  if (base64 !== undefined) attributes['content-transfer-encoding'] = 'base64';
  return { id: event.id, body: base64 ?? (typeof data === 'string' ? data : data === undefined ? '' : JSON.stringify(data)), attributes };
}

/** For events that need not say what Virga knows: where they come from, when, and an id. */
export function completeEvent(project: string, nowMs: number): (event: Record<string, unknown>) => Record<string, unknown> {
  return (event) => {
    const known = { specversion: '1.0', id: newId('evt', nowMs), source: `/projects/${project}`, time: new Date(nowMs).toISOString() };
    const made: Record<string, unknown> = { ...known, ...event };
    // An attribute that is null is one that is not said.
    for (const [name, value] of Object.entries(known)) made[name] ??= value;
    return made;
  };
}
