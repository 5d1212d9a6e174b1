// How senders of webhooks sign: which headers carry what, and over which bytes. One function for each sender, from the
// documentation of each; `generic` is compiled from the manifest. Pure. Used by webhook.ts.
//
//   github    x-hub-signature-256: sha256=<hex>                               over the body
//   stripe    stripe-signature: t=<s>,v1=<hex>,…                              over `<t>.<body>`
//   slack     x-slack-signature: v0=<hex>, x-slack-request-timestamp: <s>     over `v0:<t>:<body>`
//   standard  webhook-signature: v1,<base64> …, webhook-id, webhook-timestamp over `<id>.<t>.<body>` (standardwebhooks.com)
import type { WebhookRules } from '../../../protocol/policies/authenticators.ts';
import type { GatewayRequest } from '../../stage.ts';

export interface Signed {
  /** Any of these may be the right one. */
  signatures: Buffer[];
  /** Before and after the body. */
  before: string;
  after: string;
  /** Unix ms; undefined: the sender says none. */
  at: number | undefined;
}

export interface Scheme {
  /** Header that carries the signature. */
  header: string;
  algorithm: string;
  /** What is signed, by the head; undefined: a part is missing or is not of its form. */
  read(request: GatewayRequest): Signed | undefined;
  /** The bytes of the secret. */
  key: (secret: Buffer) => Buffer;
}

const SIGNATURES_MAX = 10;
const HEX = /^[0-9a-f]{32,128}$/i;
const BASE64 = /^[A-Za-z0-9+/_-]{20,100}={0,2}$/;

export function schemeOf(rules: WebhookRules): Scheme {
  switch (rules.sender) {
    case 'github':
      return fixed('x-hub-signature-256', (_request, header) =>
        signed([header.startsWith('sha256=') ? hex(header.slice(7)) : undefined], '', undefined),
      );
    case 'stripe':
      return fixed('stripe-signature', (_request, header) => {
        const parts = header.split(',').map((part) => part.trim().split('=', 2) as [string, string?]);
        const t = parts.find(([name]) => name === 't')?.[1];
        const signatures = parts.filter(([name]) => name === 'v1').map(([, value = '']) => hex(value));
        return timed(t, (at) => signed(signatures, `${t}.`, at));
      });
    case 'slack':
      return fixed('x-slack-signature', (request, header) => {
        const t = request.header('x-slack-request-timestamp');
        return timed(t, (at) => signed([header.startsWith('v0=') ? hex(header.slice(3)) : undefined], `v0:${t}:`, at));
      });
    case 'standard':
      return {
        ...fixed('webhook-signature', (request, header) => {
          const [id, t] = [request.header('webhook-id'), request.header('webhook-timestamp')];
          const signatures = header.split(' ').map((one) => (one.startsWith('v1,') ? base64(one.slice(3)) : undefined));
          return id === undefined ? undefined : timed(t, (at) => signed(signatures, `${id}.${t}.`, at));
        }),
        key: (secret) => {
          const text = secret.toString('utf8');
          return text.startsWith('whsec_') ? Buffer.from(text.slice(6), 'base64') : secret;
        },
      };
    case 'generic':
      return generic(rules);
  }
}

function generic(rules: WebhookRules): Scheme {
  const { encoding = 'hex', prefix = '', content = '{body}' } = rules;
  const header = (rules.header ?? '').toLowerCase();
  const [timestampHeader, idHeader] = [rules.timestamp?.toLowerCase(), rules.id?.toLowerCase()];
  const [before = '', after = ''] = content.split('{body}');
  return {
    ...fixed(header, (request, value) => {
      const t = timestampHeader === undefined ? undefined : request.header(timestampHeader);
      const id = idHeader === undefined ? undefined : request.header(idHeader);
      if ((timestampHeader !== undefined && t === undefined) || (idHeader !== undefined && id === undefined)) return undefined;
      if (!value.startsWith(prefix)) return undefined;
      const text = value.slice(prefix.length);
      const values: Record<string, string> = {
        '{timestamp}': t ?? '',
        '{id}': id ?? '',
        '{method}': request.method,
        // As the client sent it: a stage may have changed the target since.
        '{path}': request.incoming.url ?? '/',
      };
      const filled = (part: string): string => part.replaceAll(/\{(?:timestamp|id|method|path)\}/g, (name) => values[name]!);
      const signature = encoding === 'hex' ? hex(text) : base64(text);
      if (timestampHeader === undefined) return signed([signature], filled(before), undefined, filled(after));
      return timed(t, (at) => signed([signature], filled(before), at, filled(after)));
    }),
    algorithm: rules.algorithm ?? 'sha256',
  };
}

function fixed(header: string, read: (request: GatewayRequest, header: string) => Signed | undefined): Scheme {
  return {
    header,
    algorithm: 'sha256',
    read: (request) => {
      const value = request.header(header);
      return value === undefined ? undefined : read(request, value);
    },
    key: (secret) => secret,
  };
}

function signed(signatures: (Buffer | undefined)[], before: string, at: number | undefined, after = ''): Signed | undefined {
  const sound = signatures.filter((one) => one !== undefined).slice(0, SIGNATURES_MAX);
  return sound.length === 0 ? undefined : { signatures: sound, before, after, at };
}

/** Unix seconds or ms, or ISO 8601. */
function timed(text: string | undefined, then: (at: number) => Signed | undefined): Signed | undefined {
  if (text === undefined || text.length > 40) return undefined;
  if (!/^\d{9,16}$/.test(text)) {
    const at = Date.parse(text);
    return Number.isNaN(at) || !text.includes('T') ? undefined : then(at);
  }
  const number = Number(text);
  return then(number > 1e11 ? number : number * 1_000);
}

function hex(text: string): Buffer | undefined {
  return HEX.test(text) && text.length % 2 === 0 ? Buffer.from(text, 'hex') : undefined;
}

function base64(text: string): Buffer | undefined {
  return BASE64.test(text) ? Buffer.from(text, 'base64') : undefined;
}
