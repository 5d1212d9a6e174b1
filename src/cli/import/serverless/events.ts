// `events` and `url` of a function in serverless.yml: routes are carried over, every other source is reported. Used by functions.ts.
import { functionUrlPaths } from '../aws-routes.ts';
import type { GatewayRoutes } from '../aws-routes.ts';
import { remedyForSource } from '../event-sources.ts';
import type { ForeignSource } from '../event-sources.ts';
import { busTrigger, queueTrigger, scheduleTriggers, SERVERLESS_WORDS, streamTrigger, textsOf, topicTrigger } from '../aws-triggers.ts';
import type { Named, TriggerTarget } from '../aws-triggers.ts';
import { Section } from '../section.ts';
import { isNothing, textOf } from '../tree.ts';
import type { Place, Tree } from '../tree.ts';

export interface EventOptions {
  routes: GatewayRoutes;
  /** `provider.httpApi.payload`. */
  payload: '1.0' | '2.0';
  /** The only function with a URL of its own. */
  alone: boolean;
  /** What gets the triggers. */
  target: TriggerTarget;
}

const SOURCES: Record<string, ForeignSource> = {
  schedule: 'schedule',
  sqs: 'queue',
  sns: 'topic',
  s3: 'bucket',
  eventBridge: 'bus',
  cloudwatchEvent: 'bus',
  websocket: 'websocket',
  msk: 'stream',
  kafka: 'stream',
  activemq: 'queue',
  rabbitmq: 'queue',
};
const CORS = 'answer OPTIONS requests and send the headers in the function';

export function readEvents(fn: Section, options: EventOptions): void {
  for (const item of fn.list('events')) {
    if (item.kind !== 'mapping') {
      // `- schedule` alone is nothing that the framework knows but in `events: [http: GET /]`, which is a mapping.
      fn.reading.report.left(
        item.at,
        fn.reading.subject,
        `event ${textOf(item) ?? ''}`.trim(),
        'it is no event that the Serverless Framework knows',
      );
      continue;
    }
    for (const [name, entry] of item.entries) readEvent(name, fn.reading.resolve(entry.value), entry.at, fn, options);
  }
  readUrl(fn, options);
}

function readEvent(name: string, value: Tree, at: Place, fn: Section, options: EventOptions): void {
  const { report, subject } = fn.reading;
  if (name === 'http' || name === 'httpApi') return readRoute(name, value, at, fn, options);
  if (name === 'alb')
    return report.left(
      at,
      subject,
      'event alb',
      'a load balancer sends events of its own; give the function a route, whose events are those of API Gateway',
    );
  readSource(name, value, fn, { target: options.target, named: { at, what: `event ${name}` } });
}

const TIMES = { timezone: 'timezone', input: 'input', enabled: 'enabled' };

/** What becomes a trigger; the rest is left with what to do. */
function readSource(name: string, value: Tree, fn: Section, { target, named }: { target: TriggerTarget; named: Named }): void {
  const kind = name === 'stream' ? streamKind(value) : (SOURCES[name] ?? 'other');
  const mapping = value.kind === 'mapping' ? value : { kind: 'mapping' as const, at: named.at, entries: new Map() };
  const section = new Section(mapping, { ...fn.reading, path: `events.${name}` });
  const from = value.kind === 'mapping' ? undefined : value;
  if (name === 'sqs') return queueTrigger(from ?? section.take('arn'), section, target, named, SERVERLESS_WORDS);
  if (name === 'sns')
    return topicTrigger(from ?? section.take('arn') ?? section.take('topicName'), section, target, named, SERVERLESS_WORDS);
  if (name === 'stream' && kind === 'stream') return streamTrigger(from ?? section.take('arn'), section, target, named, SERVERLESS_WORDS);
  if (name === 'schedule') {
    const texts = textsOf(from ?? section.take('rate'), section).filter((text) => /^(?:rate|cron|at)\([\w\s*?,/#:-]+\)$/.test(text));
    if (texts.length > 0) return scheduleTriggers(texts, section, target, { ...named, what: `event ${name} ${texts.join(', ')}` }, TIMES);
  }
  if (name === 'eventBridge' && section.has('pattern')) return busTrigger(section.take('pattern'), section, target, named);
  fn.reading.report.left(named.at, target.fn.name, named.what, remedyForSource(kind));
}

function readRoute(name: 'http' | 'httpApi', value: Tree, at: Place, fn: Section, { routes, payload }: EventOptions): void {
  const { report, subject } = fn.reading;
  const event = name === 'http' ? '1.0' : payload;
  if (value.kind === 'scalar' && value.value !== null) {
    const [method, path] = value.text.trim().includes(' ') ? value.text.trim().split(/\s+/) : ['ANY', value.text.trim()];
    return routes.add({ at, subject, method: method!, path: path!, event });
  }
  if (value.kind !== 'mapping') {
    const why = value.kind === 'unresolved' ? `${value.reason}; write the route by hand` : 'it has no path; write the route by hand';
    return report.left(at, subject, `event ${name}`, why);
  }
  const section = new Section(value, { ...fn.reading, path: `events.${name}` });
  const path = section.text('path');
  const method = section.text('method');
  const guards = ['authorizer', 'private'].filter((key) => isGuard(section.take(key)));
  if (path !== undefined) {
    const guard = guards.length === 0 ? undefined : guards.map((key) => (key === 'private' ? 'an API key' : 'an authorizer')).join(' and ');
    routes.add({ at, subject, method: method?.value ?? 'ANY', path: path.value, event, guard });
  } else if (method?.value === '*') routes.add({ at, subject, method: 'ANY', path: '*', event });
  else if (!section.has('path')) report.left(at, subject, `event ${name}`, 'it has no path; write the route by hand');
  section.leave({
    cors: CORS,
    async: 'the function answers itself; answer 202 and go on in context.waitUntil',
    request: 'requests are not checked before the function; check them in it',
    response: 'the function answers itself',
    integration: 'the function gets and answers the event of a proxy integration',
    operationId: 'nothing to do: it names the route for documents',
    timeout: 'the timeout of the function counts',
  });
  section.finish();
}

/** `authorizer: aws_iam`, `{name: …}`; `private: false` is none. */
function isGuard(tree: Tree | undefined): boolean {
  return tree !== undefined && !isNothing(tree) && textOf(tree)?.toLowerCase() !== 'false' && textOf(tree)?.toUpperCase() !== 'NONE';
}

function readUrl(fn: Section, { routes, alone }: EventOptions): void {
  const tree = fn.take('url');
  if (tree === undefined || textOf(tree) === 'false') return;
  const { report, subject } = fn.reading;
  const at = fn.placeOf('url');
  let guard: string | undefined;
  if (tree.kind === 'mapping') {
    const section = new Section(tree, { ...fn.reading, path: 'url' });
    const authorizer = section.text('authorizer');
    if (authorizer !== undefined && authorizer.value !== 'none') guard = `the authorizer ${authorizer.value}`;
    const mode = section.text('invokeMode');
    if (mode !== undefined) report.carried(mode.at, subject, `url.invokeMode ${mode.value}`);
    section.leave({ cors: CORS });
    section.finish();
  }
  for (const path of functionUrlPaths(subject, alone)) routes.add({ at, subject, method: 'ANY', path, event: 'function-url', guard });
  if (!alone)
    report.changed(
      at,
      subject,
      'function URL',
      `is below /${subject}, since the functions of a project share one host; the code sees that in its path`,
    );
}

function streamKind(value: Tree): ForeignSource {
  const text =
    textOf(value) ??
    (value.kind === 'unresolved' ? value.reason : undefined) ??
    (value.kind === 'mapping' ? `${textOf(value.entries.get('type')?.value) ?? ''} ${textOf(value.entries.get('arn')?.value) ?? ''}` : '');
  return /dynamodb/i.test(text) ? 'table' : 'stream';
}
