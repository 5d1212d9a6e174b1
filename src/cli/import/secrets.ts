// What looks like a secret and is therefore never copied: by the name of a variable, or by its value. Invariant: when in doubt it
// is one; a name too many behind a # costs its owner a line, a password in a repository far more. Pure. Used by section.ts.

/** These words end the name of something secret: `STRIPE_KEY`, `githubToken`. */
const LAST_WORDS = /(?:^|_)(?:KEYS?|TOKENS?|PWD|PW|PASS|AUTH|DSN|SALT|PEPPER|PIN|CERT|CERTIFICATE|SIGNATURE|CONNECTION_?STRING|WEBHOOK)$/;
const ANYWHERE = /PASSWORD|PASSWD|PASSPHRASE|SECRET|CREDENTIAL|CREDS|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|AUTH_?TOKEN|CONNECTION_?STRING/;
/** Something about a secret that is none. */
const ABOUT = /_(?:ARN|NAME|PATH|TTL|LENGTH|SECONDS|MINUTES|DAYS|REGION|COUNT|HEADER|ENABLED|URL|TYPE)$/;

const KNOWN_VALUES = [
  /-----BEGIN [A-Z ]*(?:PRIVATE KEY|CERTIFICATE)/,
  /\b(?:sk|rk|pk|whsec)_(?:live|test)?_?[A-Za-z0-9]{8,}/,
  /\bgh[pousr]_[A-Za-z0-9]{16,}/,
  /\bgithub_pat_\w{16,}/,
  /\bglpat-[\w-]{16,}/,
  /\bxox[a-z]-[\w-]{8,}/,
  /\b(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{12,}/,
  /\bAIza[\w-]{20,}/,
  /\beyJ[\w-]{8,}\.[\w-]{8,}/,
  /\bSG\.[\w-]{8,}/,
  /\bnpm_[A-Za-z0-9]{16,}/,
  /hooks\.slack\.com\/services\/./,
  /\b(?:AccountKey|SharedAccessKey|SharedAccessSignature|Password|Pwd)=[^;]/i,
  /[?&](?:sig|signature|token|key|api_?key|password|secret)=[^&]/i,
];
/** `scheme://user:password@host`. */
const URL_WITH_PASSWORD = /\b[a-z][a-z0-9+.-]*:\/\/[^\s/@:]*:[^\s/@]+@/i;
/** References of AWS to what it keeps apart. */
const REFERENCE = /\{\{resolve:|^(?:ssm|secretsmanager):/i;

/** Digits, three at least, and letters in any order. */
const HEX = /^(?=(?:.*\d){3})(?=.*[a-f])[0-9a-f]+$/i;
const TOKEN_LENGTH_MIN = 20;
/** Of a token in characters: what is no word. */
const ODD_LENGTH_MIN = 10;
/** Bits for each character; random base64 of 20 characters has about 4, words of the same length 3. */
const ENTROPY_MIN = 3.2;

/** `stripeApiKey`, `stripe-api-key` and `STRIPE_API_KEY` are one name. */
export function isSecretName(name: string): boolean {
  const words = name
    .replace(/(?<=[a-z0-9])(?=[A-Z])/g, '_')
    .replace(/[^A-Za-z0-9]+/g, '_')
    .toUpperCase();
  if (ABOUT.test(words)) return false;
  return LAST_WORDS.test(words) || ANYWHERE.test(words);
}

export function isSecretReference(value: string): boolean {
  return REFERENCE.test(value);
}

export function isSecretValue(value: string): boolean {
  if (isSecretReference(value) || URL_WITH_PASSWORD.test(value)) return true;
  if (KNOWN_VALUES.some((pattern) => pattern.test(value))) return true;
  // Base64 has slashes in it; those of a path are between words.
  const whole = value.split(/[^\w+=~/-]+/);
  return [...whole, ...whole.flatMap((part) => part.split('/'))].some(looksRandom);
}

/** Whether nobody would have thought of it: `3f9a0c…`, not `my-orders-table-2024`. */
function looksRandom(token: string): boolean {
  if (token.length < TOKEN_LENGTH_MIN) return false;
  if (HEX.test(token)) return true;
  if (entropy(token) < ENTROPY_MIN) return false;
  // base64 of something is padded; a name is not.
  const parts = token
    .replace(/=+$/, '')
    .split(/[-_+~=/]|(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])/)
    .filter((part) => part !== '');
  const isWord = (part: string): boolean => /^(?:[A-Za-z]?[a-z]+|[A-Z]+)\d{0,4}$|^\d{1,8}$|^v\d+$/.test(part);
  const odd = parts.filter((part) => !isWord(part)).reduce((sum, part) => sum + part.length, 0);
  // Chance writes in both cases; something short and odd among words of one case is a name: `imported-u6vkh-c`.
  const mixed = /[A-Z]/.test(token) && /[a-z]/.test(token);
  if (odd >= (mixed ? 1 : ODD_LENGTH_MIN)) return true;
  // Words have more letters than the pieces that chance makes, between capitals above all.
  return token.length / parts.length < (mixed ? 4 : 3);
}

function entropy(text: string): number {
  const counts = new Map<string, number>();
  for (const character of text) counts.set(character, (counts.get(character) ?? 0) + 1);
  let bits = 0;
  for (const count of counts.values()) bits -= (count / text.length) * Math.log2(count / text.length);
  return bits;
}
