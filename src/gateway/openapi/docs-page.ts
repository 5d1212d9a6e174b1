// The page on which calls of a project can be tried: one HTML file that asks nothing of any other host. Invariant: its policy allows
// this very script and style, by their hashes, and calls to its own origin; nothing of a project is in it but a relative address.
// Made by openapi-targets.ts.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { FlatHeaders } from '../../protocol/frames.ts';
import type { LocalAnswer } from '../stage.ts';

interface Page {
  /** Around the address of the document. */
  before: string;
  after: string;
  headers: FlatHeaders;
}

let made: Page | undefined;

/** `source`: the document, relative to the page; of plain characters alone. */
export function docsPage(source: string): LocalAnswer {
  const { before, after, headers } = (made ??= make());
  return { status: 200, headers: [...headers], body: Buffer.from(before + source + after) };
}

/** Read once, when the first page is asked for. */
function make(): Page {
  const text = (name: string): string => readFileSync(join(import.meta.dirname, 'page', name), 'utf8');
  const [style, script] = [text('page.css'), text('page.js')];
  const html = text('page.html')
    .replace('/*STYLE*/', () => style)
    .replace('/*SCRIPT*/', () => script);
  const [before, after] = html.split('href=""') as [string, string];
  const hash = (content: string): string => `'sha256-${createHash('sha256').update(content).digest('base64')}'`;
  const policy = [
    "default-src 'none'",
    `script-src ${hash(script)}`,
    `style-src ${hash(style)}`,
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ];
  return {
    before: `${before}href="`,
    after: `"${after}`,
    headers: [
      'content-type',
      'text/html; charset=utf-8',
      'content-security-policy',
      policy.join('; '),
      'x-content-type-options',
      'nosniff',
      'referrer-policy',
      'no-referrer',
      'cache-control',
      'no-cache',
    ],
  };
}
