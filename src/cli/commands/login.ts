// `virga login URL`: checks the token with the server and stores it, readable by this user only.
import { text as wholeText } from 'node:stream/consumers';
import type { Command } from 'commander';
import { VirgaControl } from '../../../sdk/src/control.ts';
import type { CommandContext, CommandDefinition } from '../command.ts';
import { UsageError } from '../failure.ts';
import { askHidden } from '../hidden-input.ts';
import { storeLogin } from '../logins.ts';
import { checkedUrl } from '../server.ts';

export const command: CommandDefinition<{ token?: string }> = {
  define(cli: Command) {
    cli
      .argument('<url>', 'the control API, e.g. https://virga.example.org:8081')
      .option('--token <token>', 'the token, or - to read it from standard input; without it, VIRGA_TOKEN, or it is asked for');
  },
  examples: ['virga login http://127.0.0.1:8081', 'virga login https://virga.example.org:8081 --token - < operator-token'],
  notes:
    'The operator token is the file `operator-token` in the data folder of the node. A token on the command line can be seen by other users of the machine; prefer standard input.',
  async run(context, [address], options) {
    const { terminal, settings } = context;
    const url = checkedUrl(address!, 'the URL');
    const token = (await tokenOf(context, options.token)).trim();
    if (!/^[\x21-\x7e]{8,512}$/.test(token)) throw new UsageError('the token is not valid: expected one line such as vrg_…');
    const status = await new VirgaControl({ url, token }).status();
    const file = storeLogin(settings.configFolder, url, token);
    terminal.note(`Stored in ${file}.`);
    terminal.result(
      { url, node: status.node, version: status.version },
      () => `Logged in to ${url} (${status.node}, Virga ${status.version})`,
    );
  },
};

async function tokenOf({ settings, input }: CommandContext, option: string | undefined): Promise<string> {
  if (option === '-') return await wholeText(input);
  if (option !== undefined) return option;
  if (settings.token !== undefined) return settings.token;
  if (!input.isTTY) throw new UsageError('there is no token: give --token, or - and the token on standard input, or set VIRGA_TOKEN');
  return await askHidden(input, 'token');
}
