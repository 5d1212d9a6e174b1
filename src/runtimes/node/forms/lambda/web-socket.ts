// The events of a WebSocket as AWS API Gateway gives them to Lambda ($connect, $disconnect, and the route that a message selects), and
// what results mean: of $connect whether the client is let in, of others nothing, as at AWS for routes without a route response.
// Sources: docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-mapping-template-reference.html and
// @types/aws-lambda. Invariant: as web_socket.py has it in Python (golden/). Pure. Called by cloud-events.ts and events.ts.
import { EventType } from '../../../../protocol/events.ts';
import type { CloudEvent, SocketConnect, SocketDisconnect, SocketFacts, SocketMessage, SocketReply } from '../../../../protocol/events.ts';
import { logTime, statusOf } from '../../api-gateway.ts';

const STAGE = '$default';

export function toSocketEvent(event: CloudEvent, apiId: string): Record<string, unknown> {
  const facts = event.data as SocketFacts;
  const at = new Date(event.time!);
  const connecting = event.type === EventType.socketConnect ? (facts as SocketConnect) : undefined;
  const context: Record<string, unknown> = {
    routeKey: '$connect',
    eventType: 'CONNECT',
    extendedRequestId: event.id,
    requestTime: logTime(at),
    messageDirection: 'IN',
    stage: STAGE,
    connectedAt: facts.connectedAt,
    requestTimeEpoch: at.getTime(),
    identity: { userAgent: connecting?.headers['user-agent'] ?? null, sourceIp: facts.client },
    requestId: event.id,
    domainName: facts.host,
    connectionId: facts.connectionId,
    apiId,
  };
  if (facts.principal !== undefined) context['authorizer'] = { principalId: facts.principal.id, ...facts.principal.claims };
  if (connecting !== undefined) {
    const { headers, query } = connecting;
    const plain = { headers, multiValueHeaders: listed(headers), requestContext: context, isBase64Encoded: false };
    if (Object.keys(query).length === 0) return plain;
    return { ...plain, queryStringParameters: query, multiValueQueryStringParameters: listed(query) };
  }
  if (event.type === EventType.socketDisconnect) {
    const { code, reason } = facts as SocketDisconnect;
    Object.assign(context, { routeKey: '$disconnect', eventType: 'DISCONNECT', disconnectStatusCode: code, disconnectReason: reason });
    const headers = { Host: facts.host };
    return { headers, multiValueHeaders: listed(headers), requestContext: context, isBase64Encoded: false };
  }
  const { text, base64, isBinary } = facts as SocketMessage;
  Object.assign(context, { routeKey: routeKeyOf(text, facts.routeSelection), eventType: 'MESSAGE', messageId: event.id });
  return { requestContext: context, body: text ?? base64 ?? '', isBase64Encoded: isBinary };
}

/** `$request.body.a.b` of a message that is a JSON object; `$default` where there is no such text or number. */
function routeKeyOf(text: string | undefined, selection: string | undefined): string {
  if (text === undefined || selection === undefined) return '$default';
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return '$default';
  }
  for (const key of selection.split('.').slice(2)) {
    const there = typeof value === 'object' && value !== null && Object.hasOwn(value, key);
    value = there ? (value as Record<string, unknown>)[key] : undefined;
  }
  return typeof value === 'string' || typeof value === 'number' ? String(value) : '$default';
}

export function fromSocketResult(result: unknown, event: unknown): SocketReply | null {
  const { eventType } = (event as { requestContext?: { eventType?: string } } | null)?.requestContext ?? {};
  if (eventType !== 'CONNECT' || typeof result !== 'object' || result === null || !('statusCode' in result)) return null;
  const { statusCode, headers, body } = result as Record<string, unknown>;
  const reply: SocketReply = { status: statusOf(statusCode) };
  for (const [name, value] of Object.entries((headers ?? {}) as Record<string, unknown>)) {
    if (name.toLowerCase() === 'sec-websocket-protocol' && typeof value === 'string') reply.subprotocol = value;
  }
  if (typeof body === 'string') reply.body = body;
  return reply;
}

function listed(values: Record<string, string>): Record<string, string[]> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, [value]]));
}
