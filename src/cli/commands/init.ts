// `virga init [DIR]`: a project of one function to begin with. Invariant: never overwrites a file.
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import type { Command } from 'commander';
import { NAME_PATTERN } from '../../protocol/settings.ts';
import type { CommandDefinition } from '../command.ts';
import { CommandError } from '../failure.ts';

export const command: CommandDefinition = {
  define(cli: Command) {
    cli.argument('[dir]', 'the folder, made if need be', '.');
  },
  examples: ['virga init notes && virga dev notes'],
  async run({ terminal }, [dir]) {
    const folder = resolve(dir!);
    const files = filesOf(projectName(folder));
    const taken = Object.keys(files).filter((name) => existsSync(join(folder, name)));
    if (taken.length > 0)
      throw new CommandError(`${taken.join(' and ')} ${taken.length === 1 ? 'is' : 'are'} there already in ${dir}; nothing was written`);
    makeFolder(join(folder, 'functions'));
    for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content, { flag: 'wx' });
    const made = Object.keys(files).map((name) => join(dir!, name));
    terminal.result({ files: made }, () => made.join('\n'));
    terminal.note(`Next: virga dev ${dir}`);
  },
};

/** As mkdir -p; Node's own `recursive` never returns where folders cannot be made (in /proc). */
function makeFolder(folder: string): void {
  if (existsSync(folder)) return;
  makeFolder(dirname(folder));
  try {
    mkdirSync(folder);
  } catch (error) {
    throw new CommandError(`the folder ${folder} cannot be made: ${(error as Error).message}`);
  }
}

/** The folder's name, made into a name. */
function projectName(folder: string): string {
  const name = basename(folder)
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^[^a-z]+/, '')
    .slice(0, 40)
    .replace(/-+$/, '');
  return NAME_PATTERN.test(name) ? name : 'my-project';
}

function filesOf(project: string): Record<string, string> {
  return {
    'virga.yaml': `# One project. All keys: \`virga reference manifest\`.
project: ${project}
functions:
  hello:
    source: functions/hello.ts
    http: GET /
`,
    [join('functions', 'hello.ts')]: `export default {
  fetch(request: Request): Response {
    const name = new URL(request.url).searchParams.get('name') ?? 'world';
    console.log('greeting', name);
    return Response.json({ message: \`Hello, \${name}!\` });
  },
};
`,
  };
}
