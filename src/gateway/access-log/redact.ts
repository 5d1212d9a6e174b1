// Takes what looks like a secret out of URLs before they are logged. Pure. Invariant: the name of a parameter stays, of its
// value nothing; what cannot be decoded is judged by what it could mean. Called by access-log.ts.

const WITHIN = /token|secret|passw|signature|credential|session|jwt|authoriz|apikey|accesskey|privatekey/;
const WHOLE = new Set(['key', 'code', 'sig', 'pwd', 'pass', 'pin', 'otp', 'auth', 'hmac', 'assertion', 'ticket', 'nonce', 'state']);

/** Path and query, or a whole URL; `length` characters of it at most. */
export function redactUrl(url: string, length: number): string {
  const bare = url.replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/?#@]*@/i, '$1');
  const [beforeFragment = ''] = bare.split('#', 1);
  const query = beforeFragment.indexOf('?');
  if (query < 0) return beforeFragment.slice(0, length);
  const parameters = beforeFragment.slice(query + 1, query + 1 + length * 2).split('&');
  return `${beforeFragment.slice(0, query)}?${parameters.map(redactParameter).join('&')}`.slice(0, length);
}

function redactParameter(parameter: string): string {
  const equals = parameter.indexOf('=');
  if (equals < 0) return parameter;
  const name = parameter.slice(0, equals);
  return isSecret(name) ? `${name}=***` : parameter;
}

function isSecret(name: string): boolean {
  let plain = name;
  // Twice: some put an encoded URL into another.
  for (let i = 0; i < 2; i++) {
    try {
      plain = decodeURIComponent(plain.replaceAll('+', ' '));
    } catch {
      break;
    }
  }
  const letters = plain.toLowerCase().replace(/[^a-z0-9]/g, '');
  return WITHIN.test(letters) || WHOLE.has(letters) || letters.endsWith('key');
}
