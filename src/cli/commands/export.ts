// `virga export [DIR] --to lambda`: the project as another cloud takes it, and a report of what became of each thing in it. Invariants:
// never overwrites without --force; needs no server.
import { resolve } from 'node:path';
import { Option } from 'commander';
import type { Command } from 'commander';
import type { CommandDefinition } from '../command.ts';
import { shownPath } from '../manifest/manifest.ts';
import { existingFolder } from '../values.ts';
import { countText } from '../phrases.ts';

interface Options {
  to: string;
  output: string;
  force?: boolean;
}

const CLOUDS = ['lambda'];

export const command: CommandDefinition<Options> = {
  define(cli: Command) {
    cli
      .argument('[dir]', 'the folder with virga.yaml', '.')
      .addOption(new Option('--to <cloud>', 'what to make: lambda (a template of AWS SAM and zips)').choices(CLOUDS).makeOptionMandatory())
      .option('--output <folder>', 'where to write', 'export-lambda')
      .option('--force', 'overwrite what is in the folder');
  },
  examples: [
    'virga export --to lambda',
    'virga export examples/tour --to lambda --output aws',
    "virga export --to lambda --json | jq '.items[]'",
  ],
  notes:
    'It builds the functions as `virga deploy` does and writes template.yaml with a zip for each function and layer: `sam deploy --guided` in that folder brings them to AWS. Functions of the form `lambda` and of the runtime `provided` go as they are; those of Virga’s own form get an adapter into their zip; programs that serve HTTP need the layer of the AWS Lambda Web Adapter. The report names what AWS does differently, what has no counterpart there, and which functions cannot go, each with its line in virga.yaml. Values that look like secrets are not written: they become parameters of the template. `virga import` reads the folder back.',
  async run({ terminal, settings }, [dir], options) {
    const folder = existingFolder(dir!);
    const { readManifest } = await import('../manifest/manifest.ts');
    const manifest = readManifest(folder);
    const output = resolve(options.output);
    using progress = terminal.progress('building');
    const { exportToLambda } = await import('../export/export-lambda.ts');
    const { countsOf, reportText } = await import('../import/report-text.ts');
    const { items, ...exported } = await exportToLambda(manifest, {
      output,
      force: options.force ?? false,
      cacheFolder: settings.cacheFolder,
      cpu: process.platform === 'linux' ? process.arch : 'x64',
      note: (text) => progress.update(text),
    });
    progress[Symbol.dispose]();
    const counts = countsOf(items);
    terminal.result({ output: shownPath(output), ...exported, counts, items }, () => reportText(items, terminal));
    const { functions, absent } = exported;
    const missing = absent.length === 0 ? '' : `, ${absent.length} not exported`;
    terminal.note(
      `Wrote ${shownPath(output)}: ${countText(functions.length, 'function')}${missing}; ${countText(counts.changed, 'thing')} changed, ${counts.left} left to you.`,
    );
  },
};
