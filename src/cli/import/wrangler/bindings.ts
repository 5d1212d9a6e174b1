// Bindings of a Worker, and what to say about each: Virga has variables, and none of Cloudflare's other services. Used by wrangler.ts,
// and by build/wrangler-bindings.ts at the deploy.
import type { Section } from '../section.ts';
import { entryOf, textOf } from '../tree.ts';
import type { Tree } from '../tree.ts';

/** Lists of bindings: the key that names one, and what it is. */
export const LISTS: Record<string, [name: string, what: string]> = {
  kv_namespaces: ['binding', 'a KV namespace'],
  d1_databases: ['binding', 'a D1 database'],
  r2_buckets: ['binding', 'an R2 bucket'],
  services: ['binding', 'another Worker'],
  analytics_engine_datasets: ['binding', 'an Analytics Engine dataset'],
  vectorize: ['binding', 'a Vectorize index'],
  hyperdrive: ['binding', 'a Hyperdrive connection'],
  mtls_certificates: ['binding', 'a client certificate'],
  dispatch_namespaces: ['binding', 'a dispatch namespace'],
  workflows: ['binding', 'a workflow'],
  send_email: ['name', 'an email sender'],
  secrets_store_secrets: ['binding', 'a secret of the Secrets Store'],
  pipelines: ['binding', 'a pipeline'],
  ratelimits: ['name', 'a rate limit'],
  vpc_services: ['binding', 'a private service'],
  tail_consumers: ['service', 'a Worker that reads the log'],
};
/** Single bindings: `[ai] binding = "AI"`. */
export const SINGLES: Record<string, string> = {
  ai: 'Workers AI',
  browser: 'Browser Rendering',
  images: 'Cloudflare Images',
  media: 'Media Transformations',
  version_metadata: 'the metadata of the version',
};
/** Settings of the build and files, each with what to do instead. */
export const BUILD_SETTINGS: Record<string, string> = {
  site: 'Virga serves no files of its own; answer them in the function, with `include`',
  assets: 'Virga serves no files of its own; answer them in the function, with `include`',
  define: 'Virga replaces nothing in the code; use variables',
  alias: 'Virga replaces no modules; import what is meant',
  rules: '.txt, .html, .sql and .md files are imported as text, .bin as bytes, .wasm as WebAssembly.Module, and nothing else',
  wasm_modules: 'import the .wasm file instead',
  text_blobs: 'import the file as text instead (.txt, .html, .sql, .md)',
  data_blobs: 'import the file as bytes instead (.bin)',
};
const REMEDY =
  'Virga does not have it, and a Worker that needs it is refused at the deploy; use a service that is reached over HTTP instead';

export function readBindings(section: Section): void {
  const { report, subject } = section.reading;
  const left = (tree: Tree, key: string, nameKey: string, what: string): void => {
    const name = textOf(entryOf(tree, nameKey)) ?? key;
    report.left(tree.at, subject, `${name} (${what})`, REMEDY);
  };
  for (const [key, [nameKey, what]] of Object.entries(LISTS)) for (const item of section.list(key)) left(item, key, nameKey, what);
  for (const [key, what] of Object.entries(SINGLES)) {
    const tree = section.take(key);
    if (tree !== undefined) left({ ...tree, at: section.placeOf(key) }, key, 'binding', what);
  }
  for (const item of section.section('durable_objects')?.list('bindings') ?? []) left(item, 'durable_objects', 'name', 'a Durable Object');
  for (const item of section.section('unsafe')?.list('bindings') ?? []) left(item, 'unsafe', 'name', 'an unsafe binding');
  for (const item of section.section('queues')?.list('producers') ?? []) left(item, 'queues', 'binding', 'a queue to send to');
}
