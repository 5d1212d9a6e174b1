// Triggers of a workflow: each message starts a run, whose input is the event that the function would have been called with. Invariant: the
// id of the run is made of that of the message, so that one which is delivered again starts nothing. Stands in edge.ts before the kinds that call
// functions.
import { VirgaError } from '../../protocol/errors.ts';
import type { ReceivedMessage } from '../bus.ts';
import type { DeliveryKind, Verdict } from '../deliver/delivery-kind.ts';
import { batchEvent } from '../deliver/queue-kind.ts';
import { messageDocument, passes } from '../filters.ts';
import { idOfSent } from './names.ts';
import { keyParts } from '../queue-keys.ts';
import type { Consumer } from '../topology.ts';
import type { Starter } from './start-run.ts';

export interface LiveWorkflow {
  version: number;
  runsMax: number;
}

export interface TriggerStartsNeeds {
  starter: Pick<Starter, 'start'>;
  /** undefined: the function is no workflow, and is called. */
  workflowOf: (project: string, fn: string) => LiveWorkflow | undefined;
  now: () => number;
}

/** Of a CloudEvent; another that has the same id may come from elsewhere. */
function sourceOf(body: string): string {
  const { source } = JSON.parse(body) as { source?: unknown };
  return typeof source === 'string' ? source : '';
}

const FULL_MS = 5_000;
const AWAY_MS = 1_000;

export class TriggerStarts implements DeliveryKind {
  readonly #needs: TriggerStartsNeeds;
  readonly #otherwise: DeliveryKind;

  constructor(needs: TriggerStartsNeeds, otherwise: DeliveryKind) {
    this.#needs = needs;
    this.#otherwise = otherwise;
  }

  async deliver(consumer: Consumer, messages: ReceivedMessage[], signal: AbortSignal): Promise<Verdict[]> {
    const { project } = keyParts(consumer.queue.key);
    const workflow = consumer.function === undefined ? undefined : this.#needs.workflowOf(project, consumer.function);
    if (workflow === undefined) return await this.#otherwise.deliver(consumer, messages, signal);
    return await Promise.all(messages.map((message) => this.#start(consumer, message, workflow)));
  }

  async #start(consumer: Consumer, message: ReceivedMessage, { version, runsMax }: LiveWorkflow): Promise<Verdict> {
    const { kind, source, filter } = consumer;
    const { project } = keyParts(consumer.queue.key);
    if (!passes(filter, messageDocument(message))) return { as: 'done' };
    const input =
      kind === 'queue' ? JSON.stringify(batchEvent({ project, queue: source, now: this.#needs.now() }, [message])) : message.body;
    const id = idOfSent(message.id, kind === 'event' ? sourceOf(message.body) : `${kind}/${source}`);
    try {
      await this.#needs.starter.start({ project, function: consumer.function!, version, runsMax, input, trigger: kind, id });
      return { as: 'done' };
    } catch (error) {
      const { code, message: why } = error instanceof VirgaError ? error : { code: 'unavailable', message: String(error) };
      if (code === 'workflow_full') return { as: 'later', delayMs: FULL_MS };
      if (code === 'request_too_large' || code === 'invalid_request') return { as: 'dead', error: `${code}: ${why}` };
      return { as: 'later', delayMs: AWAY_MS };
    }
  }
}
