// A page of docs/guide, run as it is written. Its fenced blocks are: `sh`, commands for bash, in order; `sh fails`, commands of which
// the last must fail; `sh in another terminal` and `sh by hand`, which the test has done already; `text`, what the commands before
// must have printed (see patternOf); any other language with a file name, a file. As in a
// terminal a `cd` holds for all that follows. A fence without a language is only to be read. Invariant: every other block is run
// or checked, or the page fails with its line. Used by guide.test.ts.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, readdir, readFile, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { cleanEnvironment, ROOT, temporaryFolder } from './virga.ts';
import type { Virga } from './virga.ts';

const FOLDER = join(ROOT, 'docs', 'guide');
const MARK = 'test/system/guide.test.ts';
const COMMAND_TIMEOUT_MS = 60_000;
/** A record reaches the log within moments. */
const PRINTED_WITHIN_MS = 5_000;
const ASKED_EVERY_MS = 200;
/** Addresses of a Virga that was started as the pages say. */
const EDGE_URL = 'http://localhost:8080';
const SECURE_URL = 'https://localhost:8443';

interface Block {
  language: string;
  /** What follows the language on the opening line. */
  remark: string;
  text: string;
  line: number;
}

/** HTTPS of that Virga. */
export interface SecureDoor {
  port: number;
  /** Its folder of certificates. */
  certificates: string;
}

export interface Page {
  name: string;
  blocks: Block[];
}

/** The pages that say that they are run: they name the test. */
export async function runnablePages(): Promise<Page[]> {
  const pages: Page[] = [];
  for (const name of (await readdir(FOLDER)).filter((file) => file.endsWith('.md')).toSorted()) {
    const markdown = await readFile(join(FOLDER, name), 'utf8');
    if (markdown.includes(MARK)) pages.push({ name, blocks: blocksOf(markdown) });
  }
  return pages;
}

function blocksOf(markdown: string): Block[] {
  const blocks: Block[] = [];
  for (const found of markdown.matchAll(/^```(\w+) ?(.*)\n([\s\S]*?)^```$/gm)) {
    blocks.push({ language: found[1]!, remark: found[2]!, text: found[3]!, line: markdown.slice(0, found.index).split('\n').length });
  }
  return blocks;
}

/** In a folder of its own, where the packages of this repository are what `npm install` would have brought. */
export async function runPage({ name, blocks }: Page, virga: Virga, secure: SecureDoor): Promise<void> {
  const folder = await realpath(await temporaryFolder('virga-guide-'));
  const environment = cleanEnvironment();
  const env = {
    ...environment,
    PATH: `${join(ROOT, 'bin')}:${environment['PATH'] ?? ''}`,
    VIRGA_DATA: virga.dataFolder,
    VIRGA_TLS_CERTIFICATES: secure.certificates,
  };
  const { port } = new URL(virga.edgeUrl);
  let before = { commands: '', cwd: folder, printed: '' };
  let cwd = folder;
  try {
    await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
    for (const { language, remark, text, line } of blocks) {
      const place = `docs/guide/${name}:${line}`;
      if (language === 'sh') {
        if (remark === 'in another terminal' || remark === 'by hand') continue;
        assert.ok(remark === '' || remark === 'fails', `${place}: 'sh ${remark}' is not known`);
        const commands = text.replaceAll(EDGE_URL, virga.edgeUrl).replaceAll(SECURE_URL, `https://localhost:${secure.port}`);
        const ended = await bash(commands, { cwd, env });
        assert.equal(ended.code !== 0, remark === 'fails', `${place} exited ${ended.code}:\n${ended.printed}`);
        before = { commands, cwd, printed: ended.printed };
        cwd = ended.cwd;
      } else if (language === 'text') {
        const pattern = patternOf(
          text.replaceAll('localhost:8080', `localhost:${port}`).replaceAll('localhost:8443', `localhost:${secure.port}`),
        );
        const first = before.printed;
        const untilMs = performance.now() + PRINTED_WITHIN_MS;
        while (!pattern.test(before.printed) && performance.now() < untilMs) {
          await sleep(ASKED_EVERY_MS);
          before.printed = (await bash(before.commands, { cwd: before.cwd, env })).printed;
        }
        if (!pattern.test(before.printed)) assert.fail(`${place} says:\n${text}\nbut this was printed:\n${first}`);
      } else {
        assert.notEqual(remark, '', `${place}: a block of ${language} without a file name`);
        await mkdir(dirname(join(cwd, remark)), { recursive: true });
        await writeFile(join(cwd, remark), text);
      }
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

interface Ended {
  code: number;
  /** Both streams, as they come in a terminal. */
  printed: string;
  /** Where the commands have gone. */
  cwd: string;
}

function bash(script: string, options: { cwd: string; env: Record<string, string> }): Promise<Ended> {
  return new Promise((resolve) => {
    const whole = `exec 3>&2 2>&1\ntrap 'pwd >&3' EXIT\nset -e\n${script}`;
    // Its input is a socket, by which bash takes itself for one that was logged in from afar, and would begin with what the user's own does.
    const child = execFile('bash', ['--norc', '-c', whole], { ...options, timeout: COMMAND_TIMEOUT_MS }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 99;
      resolve({ code, printed: code === 0 ? stdout : stdout + stderr, cwd: stderr.trim() || options.cwd });
    });
    child.stdin?.end();
  });
}

/** Spaces are free, since a terminal gets JSON in lines and a pipe in one. A line that is `…` alone stands for any lines. */
function patternOf(text: string): RegExp {
  const marked = text.replaceAll(/^\s*…\s*$/gm, '\0').replaceAll(/[^\S\0]+/g, '');
  const parts = Array.from(marked, (one) => (one === '\0' ? String.raw`[\s\S]*` : one === '…' ? '.*' : RegExp.escape(one)));
  return new RegExp(parts.join(String.raw`\s*`));
}
