// docs/guide/first-function.md, run as it is written. Its fenced blocks are: `sh` commands for bash, in order; `sh fails`
// commands of which the last must fail; `sh in another terminal` and `sh by hand`, which the test has done already; `text`,
// what the commands before must have printed (… stands for anything); any other language with a file name, a file.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { cleanEnvironment, ROOT, startVirga, temporaryFolder } from './virga.ts';

const GUIDE = join(ROOT, 'docs', 'guide', 'first-function.md');
const COMMAND_TIMEOUT_MS = 60_000;

interface Block {
  language: string;
  /** What follows the language on the opening line. */
  remark: string;
  text: string;
  line: number;
}

function blocksOf(markdown: string): Block[] {
  const blocks: Block[] = [];
  for (const found of markdown.matchAll(/^```(\w+) ?(.*)\n([\s\S]*?)^```$/gm)) {
    blocks.push({ language: found[1]!, remark: found[2]!, text: found[3]!, line: markdown.slice(0, found.index).split('\n').length });
  }
  return blocks;
}

function bash(script: string, options: { cwd: string; env: Record<string, string> }): Promise<{ code: number; output: string }> {
  return new Promise((resolve) => {
    const child = execFile('bash', ['-c', `set -e\n${script}`], { ...options, timeout: COMMAND_TIMEOUT_MS }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : typeof error.code === 'number' ? error.code : 99, output: stdout + stderr });
    });
    child.stdin?.end();
  });
}

/** The text as a pattern: spaces are free, `…` stands for anything within a line. */
function patternOf(text: string): RegExp {
  const escaped = text.trim().replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
  return new RegExp(escaped.replaceAll('…', '.*').replaceAll(/\s+/g, String.raw`\s+`));
}

test('the guide to the first function does what it says', async () => {
  const blocks = blocksOf(await readFile(GUIDE, 'utf8'));
  assert.ok(blocks.length >= 15, `only ${blocks.length} blocks were found in ${GUIDE}`);
  await using virga = await startVirga();
  const folder = await temporaryFolder('virga-guide-');
  try {
    const environment = cleanEnvironment();
    const env = { ...environment, PATH: `${join(ROOT, 'bin')}:${environment['PATH'] ?? ''}`, VIRGA_DATA: virga.dataFolder };
    let printed = '';
    for (const { language, remark, text, line } of blocks) {
      const place = `${GUIDE}:${line}`;
      if (language === 'sh' && (remark === 'in another terminal' || remark === 'by hand')) continue;
      if (language === 'sh') {
        const { code, output } = await bash(text.replaceAll('http://localhost:8080', virga.edgeUrl), { cwd: folder, env });
        assert.equal(code !== 0, remark === 'fails', `${place} exited ${code}:\n${output}`);
        printed = output;
      } else if (language === 'text') {
        await eventually(
          () => printed,
          patternOf(text),
          async () => {
            // A record reaches the log within moments; the command before is asked again until it has.
            const before = blocks.findLast((block) => block.language === 'sh' && block.line < line)!;
            printed = (await bash(before.text.replaceAll('http://localhost:8080', virga.edgeUrl), { cwd: folder, env })).output;
          },
          place,
        );
      } else {
        assert.notEqual(remark, '', `${place}: a block of ${language} without a file name`);
        await mkdir(dirname(join(folder, remark)), { recursive: true });
        await writeFile(join(folder, remark), text);
      }
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

async function eventually(value: () => string, pattern: RegExp, again: () => Promise<void>, place: string): Promise<void> {
  for (let tries = 0; tries < 20 && !pattern.test(value()); tries++) await again();
  assert.match(value(), pattern, place);
}
