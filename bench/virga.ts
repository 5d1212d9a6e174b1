// Virga under measurement: a node of its own (temporary data folder, free ports, default settings) through bin/virga, as
// a user runs it, with the projects that the benchmarks deploy. Callers: warm.ts, cold.ts.
import { startVirga } from '../test/system/virga.ts';
import type { Virga } from '../test/system/virga.ts';

export const HELLO = `export default {
  fetch() {
    return new Response('hello', { headers: { 'content-type': 'text/plain' } });
  },
};
`;

export async function launchVirga(): Promise<Virga> {
  return startVirga();
}

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
