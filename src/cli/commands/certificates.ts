// `virga certificates`: what HTTPS is served with, until when, and what is wrong with it.
import type { CertificateItem } from '../../../sdk/src/control.ts';
import type { CommandDefinition } from '../command.ts';
import { connect } from '../server.ts';
import { table } from '../table.ts';
import type { Terminal } from '../terminal.ts';

export const command: CommandDefinition = {
  define() {},
  examples: ['virga certificates', 'virga certificates --json'],
  notes: 'The exit status is 1 when a name has no valid certificate, or a file cannot be used.',
  async run({ terminal, settings }) {
    const answer = await connect(settings).certificates();
    const { items, problems } = answer;
    if (items.length === 0 && problems.length === 0)
      terminal.note('There is none; VIRGA_TLS_CERTIFICATES names a folder of them, VIRGA_ACME_DOMAINS names to get them for.');
    terminal.result(answer, () => text(items, problems, terminal));
    return problems.length > 0 || items.some(({ state }) => state !== 'valid') ? 1 : 0;
  },
};

function text(items: CertificateItem[], problems: string[], terminal: Terminal): string {
  const rows = items.map((item) => [
    item.names.join(', '),
    item.origin === 'acme' ? 'ACME' : (item.file ?? ''),
    item.issuer ?? '–',
    stateText(item, terminal),
    item.validUntil?.slice(0, 16).replace('T', ' ') ?? '–',
    item.lastError ?? '',
  ]);
  const listed =
    rows.length === 0
      ? []
      : [table(['names', 'from', 'issuer', 'state', 'until', 'last error'], rows, (heading) => terminal.paint('dim', heading))];
  return [...listed, ...problems.map((problem) => terminal.paint('red', problem))].join('\n');
}

function stateText({ state }: CertificateItem, terminal: Terminal): string {
  switch (state) {
    case 'valid':
      return 'valid';
    case 'expired':
      return terminal.paint('red', 'expired');
    case 'early':
      return terminal.paint('red', 'not yet valid');
    case 'none':
      return terminal.paint('red', 'none yet');
  }
}
