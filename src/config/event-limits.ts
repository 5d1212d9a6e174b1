// What bounds the events of a node. Part of settings-table.ts.
import type { Limits } from './config.ts';
import { limit } from './setting.ts';
import type { Setting } from './setting.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
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
  asyncRequestBytesMax: limit(
    'ASYNC_REQUEST_BYTES',
    MIB,
    { unit: 'bytes', min: KIB, max: 16 * MIB },
    'Largest body of an asynchronous invocation; it is stored until it has ended.',
  ),
  asyncAnswerBytesMax: limit(
    'ASYNC_ANSWER_BYTES',
    MIB,
    { unit: 'bytes', min: KIB, max: 16 * MIB },
    'What is kept of the answer of an asynchronous invocation; a longer one is cut, and says so.',
  ),
  recordingBufferBytes: limit(
    'RECORDING_BUFFER_BYTES',
    16 * MIB,
    { unit: 'bytes', min: MIB, max: GIB },
    'Recordings (`record`) that wait to be written, of each role; beyond them new ones are dropped and counted.',
  ),
  projectRecordingBytesMax: limit(
    'PROJECT_RECORDING_BYTES',
    GIB,
    { unit: 'bytes', min: MIB, max: 1024 * GIB },
    'Recordings that are kept of one project, and requests and answers of its asynchronous invocations that have ended, as much of each; the oldest make room.',
  ),
  scheduleLateMs: limit(
    'SCHEDULE_LATE_MS',
    60_000,
    { unit: 'ms', min: 0, max: 86_400_000 },
    'A time of a schedule that is later than this was missed, and `missed` of the schedule says what becomes of it; one that is not is fired late.',
  ),
} satisfies Partial<{ [K in keyof Limits]: Setting<number> }>;
