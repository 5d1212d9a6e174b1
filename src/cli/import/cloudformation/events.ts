// Events of a SAM function, its URL, and routes that plain CloudFormation gives it. Used by functions.ts.
import { functionUrlPaths } from '../aws-routes.ts';
import type { GatewayRoutes } from '../aws-routes.ts';
import { remedyForSource } from '../event-sources.ts';
import type { ForeignSource } from '../event-sources.ts';
import { busTrigger, queueTrigger, SAM_WORDS, scheduleTriggers, streamTrigger, topicTrigger } from '../aws-triggers.ts';
import type { Named, TriggerTarget } from '../aws-triggers.ts';
import { Section } from '../section.ts';
import { entryOf, textOf } from '../tree.ts';
import type { Place, Tree } from '../tree.ts';
import type { Gateways, SpelledRoute } from './gateways.ts';

const SOURCES: Record<string, ForeignSource> = {
  Schedule: 'schedule',
  ScheduleV2: 'schedule',
  SQS: 'queue',
  MQ: 'queue',
  SNS: 'topic',
  S3: 'bucket',
  DynamoDB: 'table',
  DocumentDB: 'table',
  Kinesis: 'stream',
  MSK: 'stream',
  SelfManagedKafka: 'stream',
  EventBridgeRule: 'bus',
  CloudWatchEvent: 'bus',
};
const CORS = 'answer OPTIONS requests and send the headers in the function';

export interface RouteOptions {
  routes: GatewayRoutes;
  gateways: Gateways;
  /** The only function with a URL of its own. */
  alone: boolean;
  /** What gets the triggers. */
  target: TriggerTarget;
}

export function readEvents(events: Section | undefined, { routes, gateways, target }: RouteOptions): void {
  for (const { key, at, value } of events?.entries() ?? []) {
    const { report, subject } = events!.reading;
    if (value.kind !== 'mapping') {
      report.left(at, subject, `event ${key}`, value.kind === 'unresolved' ? value.reason : 'it is no mapping');
      continue;
    }
    const event = new Section(value, { ...events!.reading, path: `Events.${key}` });
    const type = event.text('Type')?.value ?? 'unknown';
    if (type !== 'Api' && type !== 'HttpApi') {
      readSource(type, event, { target, named: { at, what: `event ${key} (${type})` } });
      continue;
    }
    readRoute(type, event.section('Properties'), { at, event, routes, gateways });
  }
}

function readRoute(
  type: 'Api' | 'HttpApi',
  properties: Section | undefined,
  { at, event, routes, gateways }: { at: Place; event: Section; routes: GatewayRoutes; gateways: Gateways },
): void {
  const { report, subject } = event.reading;
  const path = properties?.text('Path');
  if (type === 'Api' && path === undefined) return report.left(at, subject, event.reading.path, 'it has no path; write the route by hand');
  const method = properties?.text('Method')?.value ?? 'ANY';
  const gateway = properties?.take(type === 'Api' ? 'RestApiId' : 'ApiId');
  const id = gateway?.kind === 'unresolved' ? (gateway.resource ?? '') : '';
  const payload = properties?.text('PayloadFormatVersion')?.value;
  const guards = type === 'Api' ? gateways.guards.rest : gateways.guards.http;
  const guard = ownGuard(properties?.take('Auth'), guards.get(id) ?? guards.get(''), event);
  properties?.ignore('TimeoutInMillis', 'RouteSettings');
  properties?.leave({
    RequestModel: 'requests are not checked before the function; check them in it',
    RequestParameters: 'requests are not checked before the function; check them in it',
  });
  properties?.finish();
  routes.add({ at, subject, method, path: path?.value ?? '$default', event: type === 'Api' || payload === '1.0' ? '1.0' : '2.0', guard });
}

/** What an event says of itself counts before what its API says. */
function ownGuard(auth: Tree | undefined, inherited: string | undefined, event: Section): string | undefined {
  if (auth?.kind !== 'mapping') return inherited;
  const read = (key: string): string | undefined => {
    const value = entryOf(auth, key);
    return value === undefined ? undefined : textOf(event.reading.resolve(value));
  };
  const authorizer = read('Authorizer');
  if (read('ApiKeyRequired')?.toLowerCase() === 'true') return 'an API key';
  if (authorizer === undefined) return inherited;
  return authorizer === 'NONE' ? undefined : `the authorizer ${authorizer}`;
}

/** `FunctionUrlConfig`, and `AWS::Lambda::Url`. */
export function readUrl(config: Section | undefined, subject: string, { routes, alone }: RouteOptions): void {
  if (config === undefined) return;
  const authorization = config.text('AuthType')?.value;
  config.leave({ Cors: CORS });
  config.ignore('InvokeMode');
  config.finish();
  addUrl({ at: config.at, guard: authorization === 'AWS_IAM' ? 'the authorizer AWS_IAM' : undefined, subject, routes, alone, config });
}

export function readSpelled(spelled: readonly SpelledRoute[], fn: Section, { routes, alone }: RouteOptions): void {
  const { subject } = fn.reading;
  for (const route of spelled) {
    if (route.path === '$url') addUrl({ at: route.at, guard: route.guard, subject, routes, alone, config: fn });
    else routes.add({ ...route, subject });
  }
}

interface Url {
  at: Place;
  guard: string | undefined;
  subject: string;
  routes: GatewayRoutes;
  alone: boolean;
  config: Section;
}

function addUrl({ at, guard, subject, routes, alone, config }: Url): void {
  for (const path of functionUrlPaths(subject, alone)) routes.add({ at, subject, method: 'ANY', path, event: 'function-url', guard });
  if (!alone)
    config.reading.report.changed(
      at,
      subject,
      'function URL',
      `is below /${subject}, since the functions of a project share one host; the code sees that in its path`,
    );
}

const TIMES = { timezone: 'ScheduleExpressionTimezone', input: 'Input', enabled: 'Enabled' };

/** What becomes a trigger; the rest is left with what to do. */
function readSource(type: string, event: Section, { target, named }: { target: TriggerTarget; named: Named }): void {
  const properties = event.section('Properties');
  const kind = SOURCES[type] ?? 'other';
  if (properties !== undefined) {
    if (type === 'SQS') return queueTrigger(properties.take('Queue'), properties, target, named, SAM_WORDS);
    if (type === 'SNS') return topicTrigger(properties.take('Topic'), properties, target, named, SAM_WORDS);
    if (type === 'Kinesis') return streamTrigger(properties.take('Stream'), properties, target, named, SAM_WORDS);
    if (kind === 'schedule') {
      const text = textOf(properties.take('Schedule') ?? properties.take('ScheduleExpression'));
      if (text !== undefined && /^(?:rate|cron|at)\([\w\s*?,/#:-]+\)$/.test(text)) {
        const told = { ...named, what: `${named.what} ${text}` };
        return scheduleTriggers([text], properties, target, told, TIMES);
      }
    }
    if (kind === 'bus') return busTrigger(properties.take('Pattern'), properties, target, named);
  }
  event.reading.report.left(named.at, target.fn.name, named.what, remedyForSource(kind));
}
