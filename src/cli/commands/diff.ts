// `virga diff [DIR]`: what `virga deploy` would change. The code is built and uploaded (the server compares and checks
// it), but nothing that is served changes.
import type { Command } from 'commander';
import { changesText } from '../changes-text.ts';
import type { CommandDefinition } from '../command.ts';
import { connect } from '../server.ts';
import { existingFolder } from '../values.ts';

export const command: CommandDefinition<{ exitCode?: boolean }> = {
  define(cli: Command) {
    cli.argument('[dir]', 'the folder with virga.yaml', '.').option('--exit-code', 'exit with 1 when something would change');
  },
  examples: ['virga diff', 'virga diff examples/tour --exit-code'],
  async run({ terminal, settings }, [dir], options) {
    const folder = existingFolder(dir!);
    const { readManifest } = await import('../manifest/manifest.ts');
    const manifest = readManifest(folder);
    const client = connect(settings);
    using progress = terminal.progress('building');
    const { deployManifest } = await import('../deployment.ts');
    const { answer, warnings } = await deployManifest(manifest, {
      client,
      cacheFolder: settings.cacheFolder,
      dryRun: true,
      progress: (phase, detail) => progress.update(phase, detail),
    });
    progress[Symbol.dispose]();
    terminal.result(answer, () => changesText(answer, terminal));
    for (const text of warnings) terminal.note(`${terminal.paintError('yellow', 'warning:')} ${text}`);
    return options.exitCode === true && answer.changed ? 1 : 0;
  },
};
