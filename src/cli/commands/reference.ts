// `virga reference manifest|schema|cli|configuration`: prints a reference, as it stands under docs/reference.
import { Argument } from 'commander';
import type { Command } from 'commander';
import type { CommandDefinition } from '../command.ts';

export const command: CommandDefinition = {
  define(cli: Command) {
    cli.addArgument(new Argument('<what>', 'which one').choices(['manifest', 'schema', 'cli', 'configuration']));
  },
  examples: ['virga reference schema > virga.schema.json', 'virga reference manifest | less'],
  noJson: true,
  async run({ terminal, cli }, [what]) {
    if (what === 'cli') return terminal.outBytes(await (await import('../cli-reference.ts')).cliReference(cli));
    if (what === 'configuration')
      return terminal.outBytes((await import('../../config/configuration-reference.ts')).configurationReference());
    if (what === 'manifest') return terminal.outBytes((await import('../manifest/reference.ts')).manifestReference());
    const { manifestJsonSchema } = await import('../manifest/schema.ts');
    return terminal.outBytes(`${JSON.stringify(manifestJsonSchema(), null, 2)}\n`);
  },
};
