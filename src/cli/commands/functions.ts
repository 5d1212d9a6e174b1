// `virga functions`: the functions of a project as they are served now.
import type { Command } from 'commander';
import type { FunctionItem } from '../../../sdk/src/control.ts';
import type { CommandDefinition } from '../command.ts';
import { routeText } from '../manifest/routes.ts';
import { durationText, sizeText } from '../../lib/units.ts';
import { agoText } from '../phrases.ts';
import { projectOf } from '../project.ts';
import { connect } from '../server.ts';
import { table } from '../table.ts';

export const command: CommandDefinition<{ project?: string }> = {
  define(cli: Command) {
    cli.option('-p, --project <name>', 'the project; without it, the one of the virga.yaml here');
  },
  examples: ['virga functions', 'virga functions --project tour --json'],
  async run({ terminal, settings }, _args, options) {
    const client = connect(settings);
    const project = await projectOf(client, options.project);
    const functions = await Array.fromAsync(client.functions(project));
    if (functions.length === 0) terminal.note(`The project '${project}' has no functions.`);
    terminal.result(functions, () => {
      if (functions.length === 0) return '';
      const rows = functions.map((fn) => {
        const { memoryMiB, timeoutMs, instances, concurrency } = fn.settings;
        const scale = `${instances.min}–${instances.max}${concurrency === 1 ? '' : ` × ${concurrency}`}`;
        return [
          fn.name,
          versionText(fn),
          fn.runtime,
          sizeText(memoryMiB),
          durationText(timeoutMs),
          scale,
          agoText(fn.createdAt),
          fn.routes.map(routeText).join('  '),
        ];
      });
      return table(['function', '>version', 'runtime', '>memory', '>timeout', 'instances', 'deployed', 'routes'], rows, (text) =>
        terminal.paint('dim', text),
      );
    });
  },
};

/** Which versions get the requests, e.g. `7 + 10 % 8`. */
function versionText({ version, live, shadow }: FunctionItem): string {
  const { canary } = live ?? {};
  return [
    String(live?.version ?? version),
    ...(canary === undefined ? [] : [`+ ${canary.percent} % ${canary.version}`]),
    ...(shadow === undefined ? [] : [`(copies of ${shadow.percent} % ${shadow.version})`]),
  ].join(' ');
}
