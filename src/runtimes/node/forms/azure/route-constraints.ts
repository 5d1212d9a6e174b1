// The constraints of route templates: `{id:int}`, `{name:minlength(3)}`. Invariant: a value passes here when it passes in ASP.NET
// Core, as far as JavaScript has the same types. Pure; called by routes.ts.

export type Constraint = (value: string) => boolean;

const INT_MAX = 2 ** 31 - 1;
const LONG_MAX = 2n ** 63n - 1n;
const GUID = /^(?:[0-9a-f]{32}|\{?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\}?)$/i;
const NUMBER = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?$/i;

const SIMPLE: Record<string, Constraint> = {
  int: (value) => /^[+-]?\d{1,10}$/.test(value) && Number(value) <= INT_MAX && Number(value) >= -INT_MAX - 1,
  long: isLong,
  bool: (value) => /^(?:true|false)$/i.test(value),
  datetime: (value) => !Number.isNaN(Date.parse(value)),
  decimal: (value) => NUMBER.test(value),
  double: (value) => NUMBER.test(value),
  float: (value) => NUMBER.test(value),
  guid: (value) => GUID.test(value),
  alpha: (value) => /^[a-z]*$/i.test(value),
  required: (value) => value !== '',
  file: (value) => /\.[^/.]+$/.test(value),
  nonfile: (value) => !/\.[^/.]+$/.test(value),
};

/** undefined: there is none of this name. */
export function constraintOf(name: string, argument: string | undefined): Constraint | undefined {
  const lower = name.toLowerCase();
  if (argument === undefined) return Object.hasOwn(SIMPLE, lower) ? SIMPLE[lower] : undefined;
  const [first = NaN, second = NaN] = argument.split(',').map(Number);
  switch (lower) {
    case 'minlength':
      return (value) => value.length >= first;
    case 'maxlength':
      return (value) => value.length <= first;
    case 'length':
      return (value) => (Number.isNaN(second) ? value.length === first : value.length >= first && value.length <= second);
    case 'min':
      return (value) => isLong(value) && Number(value) >= first;
    case 'max':
      return (value) => isLong(value) && Number(value) <= first;
    case 'range':
      return (value) => isLong(value) && Number(value) >= first && Number(value) <= second;
    case 'regex': {
      // Braces and backslashes are doubled in a template.
      const pattern = new RegExp(
        argument
          .replaceAll('{{', '{')
          .replaceAll('}}', '}')
          .replaceAll(String.raw`\\`, '\\'),
        'i',
      );
      return (value) => pattern.test(value);
    }
    default:
      return undefined;
  }
}

function isLong(value: string): boolean {
  if (!/^[+-]?\d{1,19}$/.test(value)) return false;
  const number = BigInt(value.replace('+', ''));
  return number <= LONG_MAX && number >= -LONG_MAX - 1n;
}
