// Virga under measurement: a node of its own (temporary data folder, free ports, default settings) through bin/virga, as
// a user runs it, with the projects that the benchmarks deploy. Callers: every benchmark.
import { startVirga } from '../test/system/virga.ts';
import type { Virga } from '../test/system/virga.ts';

export const HELLO = `export default {
  fetch() {
    return new Response('hello', { headers: { 'content-type': 'text/plain' } });
  },
};
`;

/** The same, and what is posted comes back, read whole before. */
export const ECHO = `export default {
  async fetch(request) {
    if (request.method === 'POST') return new Response(await request.arrayBuffer(), { headers: { 'content-type': 'application/octet-stream' } });
    return new Response('hello', { headers: { 'content-type': 'text/plain' } });
  },
};
`;

export const HELLO_PYTHON = `def handler(event, context):
    return {"statusCode": 200, "headers": {"content-type": "text/plain"}, "body": "hello"}
`;

export async function launchVirga(): Promise<Virga> {
  return startVirga();
}

export const portOf = (url: string): number => Number(new URL(url).port);

export async function deploy(virga: Virga, files: Record<string, string>): Promise<void> {
  const { code, stderr } = await virga.deploy(files);
  if (code !== 0) throw new Error(`virga deploy ended with ${code}: ${stderr}`);
}

/**
 * A handler whose bundle is about `kilobytes` large and whose every function is reachable, as with a real set of
 * libraries: compiled lazily by V8, yet read and scanned as a whole.
 */
export function heavyHandler(kilobytes: number): string {
  const body = "  const words = text.split(' ');\n  return words.length > n ? words.slice(0, n).join('-') : text + n;\n";
  const one = (n: number) => {
    const steps = Array.from(
      { length: 5 },
      (_, step) => `  if (text.length === ${n * 7 + step}) return text.slice(${step}) + '${n}:${step}';`,
    ).join('\n');
    return `function part${n}(text, n) {\n${steps}\n${body}}`;
  };
  const count = Math.ceil((kilobytes * 1024) / one(1_000).length);
  const parts = Array.from({ length: count }, (_, n) => one(n)).join('\n');
  const table = `const parts = [${Array.from({ length: count }, (_, n) => `part${n}`).join(', ')}];`;
  return `${parts}\n${table}\nexport default { fetch(request) { return new Response(parts[0]('hello', parts.length), { headers: { 'content-type': 'text/plain' } }); } };\n`;
}

/** The same in Python. */
export function heavyPython(kilobytes: number): string {
  const body = "    words = text.split(' ')\n    return '-'.join(words[:n]) if len(words) > n else text + str(n)\n";
  const one = (n: number) => {
    const steps = Array.from(
      { length: 5 },
      (_, step) => `    if len(text) == ${n * 7 + step}:\n        return text[${step}:] + '${n}:${step}'\n`,
    ).join('');
    return `def part${n}(text, n):\n${steps}${body}`;
  };
  const count = Math.ceil((kilobytes * 1024) / one(1_000).length);
  const parts = Array.from({ length: count }, (_, n) => one(n)).join('\n');
  return `${parts}\nparts = [${Array.from({ length: count }, (_, n) => `part${n}`).join(', ')}]\n\n${HELLO_PYTHON.replace('"hello"', 'parts[0]("hello", len(parts))')}`;
}
