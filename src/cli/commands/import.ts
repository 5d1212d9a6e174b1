// `virga import PATH`: a virga.yaml from a project for another cloud, and a report of what became of each thing in it. Invariants: never
// overwrites without --force; with --dry-run it writes nothing.
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { Option } from 'commander';
import type { Command } from 'commander';
import type { CommandDefinition } from '../command.ts';
import { CommandError, UsageError } from '../failure.ts';
import { shownPath } from '../manifest/manifest.ts';
import { countText } from '../phrases.ts';

interface Options {
  stage?: string;
  param: string[];
  output?: string;
  by: 'tag' | 'operation';
  scaffold?: boolean;
  dryRun?: boolean;
  force?: boolean;
}

export const command: CommandDefinition<Options> = {
  define(cli: Command) {
    cli
      .argument('[path]', 'the file to import, or a folder with one', '.')
      .option('--stage <name>', 'the stage, or the environment, whose settings count')
      .option('--param <name=value>', 'the value of a parameter or variable; may be given several times', collected, [])
      .option('--output <file>', 'where to write; default: virga.yaml beside the file that is imported')
      .addOption(
        new Option('--by <what>', 'of an OpenAPI document: a function for each tag, or for each operation')
          .choices(['tag', 'operation'])
          .default('tag'),
      )
      .option('--scaffold', 'of an OpenAPI document: make sources of functions that have none; they answer 501')
      .option('--dry-run', 'print the manifest instead of writing it, and the report to stderr')
      .option('--force', 'overwrite a virga.yaml that is there');
  },
  examples: [
    'virga import serverless.yml',
    'virga import . --stage prod --dry-run',
    'virga import openapi.yaml --scaffold',
    "virga import template.yaml --json | jq '.items[]'",
  ],
  notes:
    'It reads serverless.yml (Serverless Framework 3 and 4), template.yaml (AWS SAM, CloudFormation), wrangler.toml and wrangler.jsonc (Cloudflare Workers), host.json (Azure Functions), service.yaml (Cloud Run) and openapi.yaml or openapi.json (OpenAPI 3.0 and 3.1). The report names each thing of the file with its line: carried over, changed and how, or not carried over and what to do about it. Values that look like secrets are never copied: their names stand in comments. The environment is not read, and no code is run.',
  async run({ terminal }, [path], options) {
    const parameters = parametersOf(options.param);
    const { importProject } = await import('../import/import.ts');
    const { countsOf, reportText } = await import('../import/report-text.ts');
    const imported = await importProject(path!, {
      stage: options.stage,
      parameters,
      output: options.output,
      functionsBy: options.by,
      scaffold: options.scaffold ?? false,
    });
    const { output, text, items, scaffold, ...summary } = imported;
    const file = shownPath(output);
    const written = options.dryRun !== true;
    const made = scaffold.map(({ path: source }) => shownPath(source));
    if (written) {
      write(output, text, { file, force: options.force ?? false });
      // A source that is there is its author's, whatever --force says.
      for (const { path: source, text: content } of scaffold) {
        mkdirSync(dirname(source), { recursive: true });
        write(source, content, { file: shownPath(source), force: false });
      }
    }
    const counts = countsOf(items);
    const answer = {
      file,
      written,
      ...(made.length === 0 ? {} : { scaffold: made }),
      ...summary,
      counts,
      items,
      ...(written ? {} : { manifest: text }),
    };
    if (!written) {
      terminal.note(reportText(items, terminal));
      return terminal.result(answer, () => text.trimEnd());
    }
    terminal.result(answer, () => reportText(items, terminal));
    const { functions, absent, routes } = summary;
    const missing = absent.length === 0 ? '' : `, ${absent.length} not carried over`;
    terminal.note(
      `Wrote ${file}: ${countText(functions.length, 'function')}${missing}, ${countText(routes, 'route')}; ${countText(counts.changed, 'thing')} changed, ${counts.left} left to you.`,
    );
  },
};

function collected(value: string, before: string[]): string[] {
  return [...before, value];
}

function parametersOf(texts: readonly string[]): Map<string, string> {
  return new Map(
    texts.map((text) => {
      const [, name, value] = /^([^=\s]+)=(.*)$/s.exec(text) ?? [];
      if (name === undefined) throw new UsageError(`--param is ${JSON.stringify(text)}; expected NAME=VALUE`);
      return [name, value!];
    }),
  );
}

function write(output: string, text: string, { file, force }: { file: string; force: boolean }): void {
  if (!force && existsSync(output)) throw new CommandError(`${file} is there already; --force overwrites it, --dry-run prints the new one`);
  try {
    writeFileSync(output, text, { flag: force ? 'w' : 'wx' });
  } catch (error) {
    throw new CommandError(`${file} cannot be written: ${(error as Error).message}`);
  }
}
