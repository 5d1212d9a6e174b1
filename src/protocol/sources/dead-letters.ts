// Which queues are named as places of dead letters, and where. Used by references.ts.
import type { EventsSection } from './sources.ts';

export function deadLettersOf(events: EventsSection): { name: string | undefined; path: PropertyKey[] }[] {
  const queues = Object.entries(events.queues ?? {}).map(([queue, { deadLetters }]) => ({
    name: deadLetters,
    path: ['queues', queue, 'deadLetters'],
  }));
  const triggers = Object.entries(events.triggers ?? {}).flatMap(([fn, all]) =>
    all.map(({ deadLetters }, index) => ({ name: deadLetters, path: ['triggers', fn, index, 'deadLetters'] })),
  );
  const webhooks = Object.entries(events.topics ?? {}).flatMap(([topic, { subscriptions = [] }]) =>
    subscriptions.map(({ deadLetters }, index) => ({ name: deadLetters, path: ['topics', topic, 'subscriptions', index, 'deadLetters'] })),
  );
  return [...queues, ...triggers, ...webhooks];
}
