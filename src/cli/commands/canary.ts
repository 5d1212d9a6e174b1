// `virga canary NAME --percent N`: gives a share of a function's requests to another of its versions, without a build.
import type { Command } from 'commander';
import type { CommandDefinition } from '../command.ts';
import { CommandError, UsageError } from '../failure.ts';
import { checkedName, projectOf } from '../project.ts';
import { connect } from '../server.ts';
import { liveText, moveTraffic, reportMoved } from '../traffic.ts';
import { wholeNumber } from '../values.ts';

export const command: CommandDefinition<{ project?: string; percent: string; version?: string }> = {
  define(cli: Command) {
    cli
      .argument('<name>', 'the function')
      .requiredOption('--percent <number>', 'how much of the requests the canary gets; 0 ends it')
      .option('--version <number>', 'the version that is tried; without it, the canary that there is, or the one that was deployed last')
      .option('-p, --project <name>', 'the project; without it, the one of the virga.yaml here');
  },
  examples: [
    'virga canary shop --percent 10',
    'virga canary shop --percent 0',
    'virga canary shop --version 8 --percent 50 --project tour',
  ],
  async run({ terminal, settings }, [given], options) {
    const name = checkedName(given!, 'the name of the function');
    const percent = Number(options.percent);
    if (!/^\d{1,3}(\.\d+)?$/.test(options.percent) || percent > 100)
      throw new UsageError(`--percent is ${JSON.stringify(options.percent)}; expected a number from 0 to 100, such as 10 or 0.5`);
    const asked = options.version === undefined ? undefined : wholeNumber(options.version, '--version', { min: 1, max: 2 ** 31 - 1 });
    const client = connect(settings);
    let said = '';
    const answer = await moveTraffic(client, { project: await projectOf(client, options.project), name }, ({ version: deployed, live }) => {
      const main = live?.version ?? deployed;
      const version = asked ?? live?.canary?.version ?? deployed;
      if (version === main && percent > 0)
        throw new CommandError(
          `version ${main} gets all requests of '${name}' already, and there is no other to try; deploy with live: {version: ${main}} first, or name one with --version`,
        );
      const next =
        percent === 0
          ? { version: main }
          : { version: main, canary: { version, percent, sticky: live?.canary?.sticky ?? ('cookie' as const) } };
      said = liveText(next);
      return next;
    });
    reportMoved(answer, terminal, name, said);
  },
};
