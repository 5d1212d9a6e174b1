// What a program is told of its call by environment variables and arguments: over HTTP CGI's meta-variables (RFC 3875,
// section 4.1) with WAGI's additions, of an event the attributes of the CloudEvent as CE_…. Invariant: a header never becomes
// HTTP_PROXY, which libraries take for the operator's setting (httpoxy). Called by program.ts.
import type { EventRequestMeta, HttpRequestMeta } from '../../../../protocol/frames.ts';
import type { CloudEvent } from '../../../../protocol/events.ts';

export interface CallWords {
  args: string[];
  variables: Record<string, string>;
}

/** Headers that have a variable of their own, or must have none. */
const NOT_AS_HTTP = new Set(['content-type', 'content-length', 'proxy']);

export function httpWords(meta: HttpRequestMeta): CallWords {
  const url = new URL(meta.url);
  const [script, rawInfo] = splitPath(url.pathname, meta.route);
  const info = decoded(rawInfo);
  const query = url.search.slice(1);
  const variables: Record<string, string> = {
    GATEWAY_INTERFACE: 'CGI/1.1',
    SERVER_SOFTWARE: 'Virga',
    SERVER_PROTOCOL: 'HTTP/1.1',
    SERVER_NAME: url.hostname,
    SERVER_PORT: url.port === '' ? '80' : url.port,
    REQUEST_METHOD: meta.method,
    REQUEST_URI: url.pathname + url.search,
    SCRIPT_NAME: script,
    PATH_INFO: info,
    PATH_TRANSLATED: info,
    QUERY_STRING: query,
    REMOTE_ADDR: meta.client,
    REMOTE_HOST: meta.client,
    REMOTE_USER: '',
    AUTH_TYPE: '',
    CONTENT_TYPE: '',
    CONTENT_LENGTH: '',
    X_FULL_URL: meta.url,
    X_RAW_PATH_INFO: rawInfo,
    X_MATCHED_ROUTE: meta.route,
  };
  for (let i = 0; i + 1 < meta.headers.length; i += 2) {
    const lower = meta.headers[i]!.toLowerCase();
    const value = meta.headers[i + 1]!;
    if (lower === 'content-type') variables['CONTENT_TYPE'] = value;
    else if (lower === 'content-length') variables['CONTENT_LENGTH'] = value;
    if (NOT_AS_HTTP.has(lower)) continue;
    const name = `HTTP_${variableName(lower)}`;
    variables[name] = variables[name] === undefined ? value : `${variables[name]}${lower === 'cookie' ? '; ' : ', '}${value}`;
  }
  // As WAGI has it: the query as if it had been typed after the name of the program.
  return { args: [script, ...(query === '' ? [] : query.split('&').map(decoded))], variables };
}

/** `event`: what the payload is, when it is a CloudEvent. */
export function eventWords(
  meta: EventRequestMeta,
  { name, event, bytes }: { name: string; event: CloudEvent | undefined; bytes: number },
): CallWords {
  const variables: Record<string, string> = {
    CONTENT_TYPE: event === undefined ? meta.contentType : (event.datacontenttype ?? 'application/json'),
    CONTENT_LENGTH: String(bytes),
    VIRGA_TRIGGER: meta.trigger,
  };
  for (const [key, value] of Object.entries(event ?? {})) {
    if (
      key !== 'data' &&
      key !== 'data_base64' &&
      key !== 'datacontenttype' &&
      (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean')
    )
      variables[`CE_${variableName(key)}`] = String(value);
  }
  return { args: [name], variables };
}

/** Of what both kinds of call have. */
export function commonVariables({ id, trace }: { id: string; trace: string }): Record<string, string> {
  return { VIRGA_INVOCATION_ID: id, TRACEPARENT: trace };
}

/** The path up to the first parameter of the route names the program, the rest is for it. */
function splitPath(path: string, route: string): [script: string, info: string] {
  const segments = route.split('/');
  const first = segments.findIndex((segment) => segment.startsWith('{'));
  if (first === -1) return [path, ''];
  const script = path.split('/').slice(0, first).join('/');
  return [script, path.slice(script.length)];
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function variableName(name: string): string {
  return name.toUpperCase().replaceAll(/[^A-Z0-9]/g, '_');
}
