// Where JSON that JSON.parse refused, or that has a member twice, is at fault: V8 does not always say, and quotes what was sent, which
// may be secret. Iterative and linear; run only for bodies that are refused anyway. Called by json-body.ts.

interface Open {
  /** Names so far; undefined: a list. */
  names: Set<string> | undefined;
  /** Where in its parent it stands, for the pointer. */
  at: string | number;
}

export interface JsonFault {
  offset: number;
  /** A name that is twice in one object, with the path to it. */
  duplicate?: (string | number)[];
}

/** undefined: nothing is wrong. `text` is nested no deeper than what was looked for before. */
export function jsonFault(text: string): JsonFault | undefined {
  const open: Open[] = [];
  let at = 0;
  let name: string | number = '';
  let expects: 'value' | 'first value' | 'name' | 'first name' | 'end' = 'value';
  const faulty = (): JsonFault => ({ offset: at });
  for (;;) {
    while (' \t\n\r'.includes(text[at] ?? 'x')) at++;
    const char = text[at];
    const inside = open.at(-1);
    if (expects === 'end') {
      if (inside === undefined) return at < text.length ? faulty() : undefined;
      if (char === (inside.names === undefined ? ']' : '}')) {
        at++;
        name = open.pop()!.at;
        continue;
      }
      if (char !== ',') return faulty();
      at++;
      expects = inside.names === undefined ? 'value' : 'name';
      if (typeof name === 'number') name++;
      continue;
    }
    if ((expects === 'first value' && char === ']') || (expects === 'first name' && char === '}')) {
      expects = 'end';
      continue;
    }
    if (expects === 'name' || expects === 'first name') {
      const end = char === '"' ? stringEnd(text, at) : -1;
      if (end < 0) return faulty();
      name = JSON.parse(text.slice(at, end)) as string;
      if (inside!.names!.has(name)) return { offset: at, duplicate: [...open.slice(1).map((one) => one.at), name] };
      inside!.names!.add(name);
      at = end;
      while (' \t\n\r'.includes(text[at] ?? 'x')) at++;
      if (text[at] !== ':') return faulty();
      at++;
      expects = 'value';
      continue;
    }
    if (char === '{' || char === '[') {
      open.push({ names: char === '{' ? new Set() : undefined, at: name });
      at++;
      name = char === '[' ? 0 : '';
      expects = char === '{' ? 'first name' : 'first value';
      continue;
    }
    const end = char === '"' ? stringEnd(text, at) : plainEnd(text, at);
    if (end < 0) return faulty();
    at = end;
    expects = 'end';
  }
}

/** After the closing quote; -1: it is no string of JSON. */
function stringEnd(text: string, from: number): number {
  for (let at = from + 1; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 34) return at + 1;
    if (code < 32) return -1;
    if (code !== 92) continue;
    at++;
    if (text[at] === 'u') {
      if (!/^[0-9a-f]{4}$/i.test(text.slice(at + 1, at + 5))) return -1;
      at += 4;
    } else if (!'"\\/bfnrt'.includes(text[at] ?? 'x')) return -1;
  }
  return -1;
}

function plainEnd(text: string, from: number): number {
  const plain = /(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)/y;
  plain.lastIndex = from;
  const found = plain.exec(text);
  return found === null ? -1 : from + found[0].length;
}
