// `virga versions NAME`: the versions of a function, newest first.
import type { Command } from 'commander';
import type { CommandDefinition } from '../command.ts';
import { bytesText, durationText, sizeText } from '../../lib/units.ts';
import { agoText } from '../phrases.ts';
import { checkedName, projectOf } from '../project.ts';
import { connect } from '../server.ts';
import { table } from '../table.ts';

export const command: CommandDefinition<{ project?: string }> = {
  define(cli: Command) {
    cli.argument('<name>', 'the function').option('-p, --project <name>', 'the project; without it, the one of the virga.yaml here');
  },
  examples: ['virga versions hello', 'virga versions hello --project tour --json'],
  async run({ terminal, settings }, [name], options) {
    const fn = checkedName(name!, 'the name of the function');
    const client = connect(settings);
    const versions = await Array.fromAsync(client.versions(await projectOf(client, options.project), fn));
    terminal.result(versions, () => {
      const rows = versions.map((version) => [
        `${version.number}${version.current ? terminal.paint('green', ' current') : ''}`,
        agoText(version.createdAt),
        version.settings.runtime,
        sizeText(version.settings.memoryMiB),
        durationText(version.settings.timeoutMs),
        bytesText(version.artifactBytes),
        version.artifact.slice(0, 12),
      ]);
      return table(['version', 'made', 'runtime', '>memory', '>timeout', '>code', 'artifact'], rows, (text) => terminal.paint('dim', text));
    });
  },
};
