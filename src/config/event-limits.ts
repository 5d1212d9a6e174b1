// What bounds the events of a node. Part of settings-table.ts.
import type { Limits } from './config.ts';
import { limit } from './setting.ts';
import type { Setting } from './setting.ts';

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

export const EVENT_LIMITS = {
  deliveriesMax: limit(
    'DELIVERIES',
    256,
    { unit: 'deliveries', min: 1, max: 100_000 },
    'Calls for events (of queues, topics, schedules and the like) at the same time. One project has at most three quarters of them.',
  ),
  deliveryBytesMax: limit(
    'DELIVERY_BYTES',
    64 * MIB,
    { unit: 'bytes', min: MIB, max: 64 * GIB },
    'Messages that the edge holds in memory while they are delivered.',
  ),
  receiversMax: limit(
    'RECEIVERS',
    256,
    { unit: 'connections', min: 0, max: 10_000 },
    'Connections to the control API that wait for messages of queues (`waitMs`) at the same time; the next is answered 503.',
  ),
} satisfies Partial<{ [K in keyof Limits]: Setting<number> }>;
