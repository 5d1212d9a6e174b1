// `npm start`: `bin/virga start` plus the tour. Deploys examples/tour, calls two of its functions with files from the
// repository, and says what to try next; then Virga stays in the foreground. Flags and variables of `virga start` work
// here, too. Invariant: Ctrl-C, SIGTERM and the end of the terminal stop Virga in order, once, and its exit status is ours.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const ROOT = join(import.meta.dirname, '..');
const VIRGA = join(ROOT, 'bin', 'virga');
const TOUR = join(ROOT, 'examples', 'tour');

const flags = process.argv.slice(2);
// A session of its own: Ctrl-C would otherwise reach it twice, and twice means "at once".
const server = spawn(VIRGA, ['start', ...flags], { cwd: ROOT, stdio: ['ignore', 'pipe', 'inherit'], detached: true });
const stopped = new Promise<number>((resolve) => {
  server.once('error', (error) => {
    console.error(`npm start: ${VIRGA} cannot be started: ${error.message}`);
    resolve(1);
  });
  server.once('close', (code) => resolve(code ?? 1));
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.on(signal, () => server.kill(signal === 'SIGHUP' ? 'SIGTERM' : signal));

createInterface({ input: server.stdout }).on('line', (line) => {
  console.log(line);
  if (line.startsWith('Virga is ready')) void tour(/functions on (\S+?),/.exec(line)?.[1] ?? '');
});
process.exitCode = await stopped;

async function tour(edgeUrl: string): Promise<void> {
  try {
    console.log(`\nDeploying the tour (${TOUR}):\n`);
    if ((await virga('deploy', TOUR)) !== 0) return;
    const base = `${edgeUrl}/@tour`;
    await call(`${base}/stats`, 'data/cities.csv', 'text/csv');
    await call(`${base}/thumbnail?width=320`, 'data/photo.jpg', 'image/jpeg');
    console.log(nextSteps(base));
  } catch (error) {
    // Virga itself runs; the tour is only a visitor.
    console.error(`The tour failed: ${(error as Error).message}`);
  }
}

/** The CLI finds the server by the same data folder. */
async function virga(...args: string[]): Promise<number> {
  const at = flags.findIndex((flag) => flag === '--data' || flag.startsWith('--data='));
  const dataFolder = at === -1 ? (process.env['VIRGA_DATA'] ?? join(ROOT, '.virga')) : (flags[at]!.split('=')[1] ?? flags[at + 1] ?? '');
  const { VIRGA_URL: _url, VIRGA_TOKEN: _token, ...env } = process.env;
  const child = spawn(VIRGA, args, { cwd: ROOT, stdio: 'inherit', env: { ...env, VIRGA_DATA: dataFolder } });
  return await new Promise((resolve) => child.once('close', (code) => resolve(code ?? 1)));
}

async function call(url: string, file: string, contentType: string): Promise<void> {
  const body = readFileSync(join(TOUR, file));
  const startedAt = performance.now();
  const response = await fetch(url, { method: 'POST', body, headers: { 'content-type': contentType } });
  const answer = Buffer.from(await response.arrayBuffer());
  const ms = (performance.now() - startedAt).toFixed(0);
  const type = response.headers.get('content-type') ?? '';
  console.log(`\nPOST ${url}\n  sent      ${file}, ${body.length} bytes of ${contentType}`);
  console.log(`  answered  ${response.status} in ${ms} ms, ${answer.length} bytes of ${type}`);
  console.log(`  time      ${response.headers.get('server-timing') ?? 'unknown'}`);
  if (/json|text/.test(type)) console.log(`  ${excerpt(answer.toString())}`);
  if (!response.ok) throw new Error(`${url} answered ${response.status}`);
}

function excerpt(text: string): string {
  const line = text.replace(/\s+/g, ' ');
  return line.length > 300 ? `${line.slice(0, 300)} …` : line;
}

function nextSteps(base: string): string {
  return `
What to try next, in another terminal, in ${ROOT}:

  curl ${base}/hello/Ada
  curl -X PUT ${base}/notes/1 -H 'content-type: application/json' -d '{"title":"Shopping","text":"Bread"}'
  curl --data-binary @examples/tour/data/photo.jpg -H 'content-type: image/jpeg' '${base}/thumbnail?width=320' > thumbnail.webp
  bin/virga invoke hello --project tour --data '{"name":"Ada"}'
  bin/virga logs --project tour --follow
  bin/virga invocations thumbnail --project tour
  bin/virga init my-project && bin/virga deploy my-project
  bin/virga --help

Ctrl-C stops Virga. What is deployed stays, and is served again after the next start.
`;
}
