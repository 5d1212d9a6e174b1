// `virga deploy [DIR]`: builds the project of a folder and makes it what is served, whole or not at all.
import type { Command } from 'commander';
import { changesText, urlsText } from '../changes-text.ts';
import type { CommandDefinition } from '../command.ts';
import { bytesText } from '../../lib/units.ts';
import { connect } from '../server.ts';
import { existingFolder } from '../values.ts';
import { countText } from '../phrases.ts';

export const command: CommandDefinition<{ fresh?: boolean }> = {
  define(cli: Command) {
    cli
      .argument('[dir]', 'the folder with virga.yaml', '.')
      .option('--fresh', 'install Python packages again instead of taking them from the cache');
  },
  examples: ['virga deploy', 'virga deploy examples/tour', 'virga deploy --json | jq .url'],
  notes:
    'Functions that did not change keep their version, and nothing is uploaded that the server has. Calls that are running finish on the version they began with.',
  async run({ terminal, settings }, [dir], options) {
    const folder = existingFolder(dir!);
    const { readManifest } = await import('../manifest/manifest.ts');
    const manifest = readManifest(folder);
    const client = connect(settings);
    using progress = terminal.progress('building');
    const { deployManifest } = await import('../deployment.ts');
    const { answer, built, uploadedBytes, warnings } = await deployManifest(manifest, {
      client,
      cacheFolder: settings.cacheFolder,
      fresh: options.fresh ?? false,
      progress: (phase, detail) => progress.update(phase, detail),
    });
    progress[Symbol.dispose]();
    const codeBytes = [...built.values()].reduce((sum, one) => sum + one.bytes, 0);
    terminal.note(
      terminal.paintError(
        'dim',
        `Built ${countText(built.size, 'function')} (${bytesText(codeBytes)}), uploaded ${uploadedBytes === 0 ? 'nothing' : bytesText(uploadedBytes)}`,
      ),
    );
    terminal.result(
      answer,
      () => `${changesText(answer, terminal)}${manifest.routes.length === 0 ? '' : `\n${urlsText(answer.url, manifest.routes)}`}`,
    );
    for (const text of warnings) terminal.note(`${terminal.paintError('yellow', 'warning:')} ${text}`);
  },
};
