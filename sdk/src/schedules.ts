// The calls of the control API about schedules: `schedules` of VirgaControl.
import type { ScheduleItem, ScheduleRun, ScheduleTimesAnswer } from '../../src/protocol/schedules-api.ts';
import type { Transport } from './transport.ts';

export type { ScheduleItem, ScheduleRun, ScheduleTimesAnswer };

interface CallOptions {
  signal?: AbortSignal | undefined;
}

export class ScheduleCalls {
  readonly #transport: Pick<Transport, 'json'>;

  constructor(transport: Pick<Transport, 'json'>) {
    this.#transport = transport;
  }

  /** By name. */
  async list(project: string, options: CallOptions = {}): Promise<ScheduleItem[]> {
    const { items } = await this.#transport.json<{ items: ScheduleItem[] }>({
      method: 'GET',
      path: `/v1/projects/${encodeURIComponent(project)}/schedules`,
      signal: options.signal,
    });
    return items;
  }

  show(project: string, schedule: string, options: CallOptions = {}): Promise<ScheduleItem> {
    return this.#transport.json({ method: 'GET', path: pathOf(project, schedule), signal: options.signal });
  }

  /** Its next times: 10 without `count`, after `from` (ISO 8601 with its offset) or now. */
  next(
    project: string,
    schedule: string,
    options: CallOptions & { count?: number | undefined; from?: string | undefined } = {},
  ): Promise<ScheduleTimesAnswer> {
    const query = { count: options.count, from: options.from };
    return this.#transport.json({ method: 'GET', path: pathOf(project, schedule, 'next'), query, signal: options.signal });
  }

  pause(project: string, schedule: string, options: CallOptions = {}): Promise<ScheduleItem> {
    return this.#transport.json({ method: 'POST', path: pathOf(project, schedule, 'pause'), signal: options.signal });
  }

  resume(project: string, schedule: string, options: CallOptions = {}): Promise<ScheduleItem> {
    return this.#transport.json({ method: 'POST', path: pathOf(project, schedule, 'resume'), signal: options.signal });
  }

  /** Fires it now; its own times stay as they are. */
  run(project: string, schedule: string, options: CallOptions = {}): Promise<ScheduleRun> {
    return this.#transport.json({ method: 'POST', path: pathOf(project, schedule, 'run'), signal: options.signal });
  }
}

function pathOf(...[project, schedule, action]: [project: string, schedule: string, action?: string]): string {
  return `/v1/projects/${encodeURIComponent(project)}/schedules/${encodeURIComponent(schedule)}${action === undefined ? '' : `/${action}`}`;
}
