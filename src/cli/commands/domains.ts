// `virga domains`: the names that a project is served at, with the record that proves each; `virga domains verify NAME` looks for it.
import type { Command } from 'commander';
import type { DomainItem } from '../../../sdk/src/control.ts';
import type { CommandDefinition } from '../command.ts';
import { CommandError } from '../failure.ts';
import { agoText } from '../phrases.ts';
import { projectOf } from '../project.ts';
import { connect } from '../server.ts';
import { table } from '../table.ts';

export const command: CommandDefinition<{ project?: string }> = {
  define(cli: Command) {
    cli
      .argument('[action]', '`list`, or `verify` and a domain', 'list')
      .argument('[domain]', 'the domain to verify')
      .option('-p, --project <name>', 'the project; without it, the one of the virga.yaml here');
  },
  examples: ['virga domains', 'virga domains verify shop.example.com', 'virga domains --project tour --json'],
  async run({ terminal, settings }, [action = 'list', domain], options) {
    const client = connect(settings);
    if (action === 'verify' && domain !== undefined) {
      const proven = await client.verifyDomain(await projectOf(client, options.project), domain);
      terminal.result(proven, () => `${terminal.paint('green', proven.name)} is served by ${proven.project}`);
      return;
    }
    if (action === 'verify') throw new CommandError('name the domain: `virga domains verify shop.example.com`');
    if (action !== 'list' || domain !== undefined)
      throw new CommandError(`'${domain ?? action}' is not expected; say \`virga domains\` or \`virga domains verify DOMAIN\``);
    const project = await projectOf(client, options.project);
    const domains = await client.domains(project);
    if (domains.length === 0) terminal.note(`The project '${project}' has no domains; gateway.domains in virga.yaml lists them.`);
    terminal.result(domains, () => {
      if (domains.length === 0) return '';
      const rows = domains.map((one) => [one.name, ...stateOf(one)]);
      return table(['domain', 'served', 'proof', 'TXT record', 'has to say'], rows, (text) => terminal.paint('dim', text));
    });
  },
};

function stateOf({ served, proof, provenAt, record }: DomainItem): string[] {
  if (!served) return ['no', 'none yet', record.name, record.value];
  return ['yes', proof === 'trusted' ? 'none needed' : `DNS, ${provenAt === null ? '' : agoText(provenAt)}`, '', ''];
}
