// The source of a function that has yet to be written: answers 501, with the example of the operation where the document has one, so
// that clients can be written against it and nobody takes it for the real thing. Made by openapi.ts for `--scaffold`.
import type { Operation } from '../../openapi/operations.ts';

export function scaffoldText(name: string, file: string, operations: readonly Operation[]): string {
  const entries = operations.map(({ method, path, operationId, policy, example }) => {
    const words = policy.openapi === undefined || policy.openapi === false ? {} : policy.openapi;
    const fields = { method, path, operationId, summary: words.summary, example };
    return `  ${literal(fields)},\n`;
  });
  return `// ${name}: operations of ${file.replaceAll(/[^\w./-]/g, '_')}, made by \`virga import --scaffold\`. Each answers 501 until it is written.
const operations = [
${entries.join('')}];

export default {
  async fetch(request) {
    const { pathname } = new URL(request.url);
    const operation = operations.find(({ method, path }) => method === request.method && patternOf(path).test(pathname));
    const message = \`\${operation?.operationId ?? request.method} is not written yet\`;
    return Response.json({ error: { code: 'not_implemented', message }, example: operation?.example }, { status: 501 });
  },
};

/** \`/pets/{id}\` → /^\\/pets\\/[^/]+$/ */
function patternOf(path) {
  return new RegExp(\`^\${path.replaceAll(/\\{[^}]*?(\\+?)\\}/g, (_, rest) => (rest ? '.+' : '[^/]+'))}$\`);
}
`;
}

/** JSON is JavaScript, but for two line ends in old readers. */
function literal(value: unknown): string {
  return JSON.stringify(value).replaceAll('\u2028', '\\u2028').replaceAll('\u2029', '\\u2029');
}
