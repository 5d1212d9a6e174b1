// The events of the golden shapes (src/runtimes/golden), as a test sends them by `virga invoke`: CloudEvents of every kind that
// Virga has, and one in AWS's own shape. Used by the tests of functions that were written for AWS Lambda.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { InvokeAnswer } from '../../../sdk/src/control.ts';
import { ROOT } from '../virga.ts';
import type { CliResult, Virga } from '../virga.ts';

interface Golden {
  cases: { name: string; meta: { kind: string; contentType?: string }; body: string }[];
}

const GOLDEN = join(ROOT, 'src', 'runtimes', 'golden', 'lambda-events.json');

export interface Sent {
  contentType: string;
  body: string;
}

/** The event of this case. */
export function goldenEvent(name: string): Sent {
  const { cases } = JSON.parse(readFileSync(GOLDEN, 'utf8')) as Golden;
  const found = cases.find((one) => one.name === name && one.meta.kind === 'event');
  if (found === undefined) throw new Error(`${GOLDEN} has no event '${name}'`);
  return { contentType: found.meta.contentType!, body: found.body };
}

/** What `virga invoke --json` says. `sent`: what goldenEvent gives, or any value as JSON. */
export async function invoke(
  virga: Virga,
  [project, fn]: readonly [string, string],
  sent: object,
): Promise<InvokeAnswer & { value: unknown }> {
  const { contentType, body } = isSent(sent) ? sent : { contentType: 'application/json', body: JSON.stringify(sent) };
  const run: CliResult = await virga.cli(['invoke', fn, '--project', project, '--data', '-', '--content-type', contentType, '--json'], {
    input: body,
  });
  const answer = run.json<InvokeAnswer & { result: { json?: unknown } | null }>();
  return { ...answer, value: answer.result?.json };
}

function isSent(sent: object): sent is Sent {
  return 'contentType' in sent;
}
