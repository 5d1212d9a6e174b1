// `virga promote NAME`: gives all requests of a function to its canary, or to another of its versions, without a build.
import type { Command } from 'commander';
import type { CommandDefinition } from '../command.ts';
import { CommandError } from '../failure.ts';
import { checkedName, projectOf } from '../project.ts';
import { connect } from '../server.ts';
import { liveText, moveTraffic, reportMoved } from '../traffic.ts';
import { wholeNumber } from '../values.ts';

export const command: CommandDefinition<{ project?: string; version?: string }> = {
  define(cli: Command) {
    cli
      .argument('<name>', 'the function')
      .option('--version <number>', 'this version; without it, the canary')
      .option('-p, --project <name>', 'the project; without it, the one of the virga.yaml here');
  },
  examples: ['virga promote shop', 'virga promote shop --version 8 --project tour'],
  async run({ terminal, settings }, [given], options) {
    const name = checkedName(given!, 'the name of the function');
    const asked = options.version === undefined ? undefined : wholeNumber(options.version, '--version', { min: 1, max: 2 ** 31 - 1 });
    const client = connect(settings);
    let said = '';
    const answer = await moveTraffic(client, { project: await projectOf(client, options.project), name }, ({ version: deployed, live }) => {
      const version = asked ?? live?.canary?.version;
      if (version === undefined)
        throw new CommandError(`'${name}' has no canary; name a version with --version (\`virga versions ${name}\` lists them)`);
      const next = version === deployed ? undefined : { version };
      said = liveText(next);
      return next;
    });
    reportMoved(answer, terminal, name, said);
  },
};
