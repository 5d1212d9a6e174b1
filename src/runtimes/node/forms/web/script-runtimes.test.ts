// Which of Deno's two commands starts a source.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isServed } from './script-runtimes.ts';

test('a source with a default export is served', () => {
  for (const source of [
    'export default { fetch() {} };',
    'const a = 1; export default { fetch() {} }',
    'import { Hono } from "npm:hono";\nconst app = new Hono();\nexport default app;',
    'const handler = { fetch() {} };\nexport { handler as default, other };',
    '/* export nothing */ export default {} satisfies Deno.ServeDefaultExport;',
    '// Deno.serve(handler) was here\nexport default handler;',
  ]) {
    assert.equal(isServed(source), true, source);
  }
});

test('a source that listens itself, or exports no default, is run', () => {
  for (const source of [
    'Deno.serve(() => new Response());',
    'export const app = 1;',
    '// export default app;\napp.listen(8080);',
    'export default app;\nif (import.meta.main) Deno.serve({ port }, app.fetch);',
    'const app = express();\napp.listen(process.env.PORT);\nexport default app;',
    'const text = "the export default of a module";',
  ]) {
    assert.equal(isServed(source), false, source);
  }
});
