// docs/reference/cli.md, made from the commands themselves, so that it cannot say anything else than `--help`.
// `virga reference cli` prints it; a test holds the file to it.
import type { Command } from 'commander';
import type { CommandContext } from './command.ts';

export async function cliReference({ commands, program: load }: CommandContext['cli']): Promise<string> {
  const program = await load();
  const parts = [INTRODUCTION];
  let group = '';
  for (const entry of commands) {
    const { name, group: title } = entry;
    if (title !== group) parts.push(`## ${title.replace(/:$/, '')}\n`);
    group = title;
    const { command: definition } = await entry.load();
    const command = program.commands.find((one) => one.name() === name)!;
    parts.push(`### virga ${name}\n\n${command.description()}\n`);
    parts.push(`    virga ${name} ${usageOf(command)}`.trimEnd(), '');
    const rows = [
      ...command.registeredArguments.map((argument) => [
        argument.required ? `<${argument.name()}>` : `[${argument.name()}]`,
        argument.description,
        argument.defaultValue,
      ]),
      ...command.options.map((option) => [option.flags, option.description, option.defaultValue]),
    ];
    if (rows.length > 0) {
      const lines = rows.map(
        ([flags, text, value]) =>
          `| \`${String(flags)}\` | ${String(text).replaceAll('|', '\\|')}${value === undefined ? '' : ` (default \`${String(value)}\`)`} |`,
      );
      parts.push('| | |', '| --- | --- |', ...lines, '');
    }
    if (definition.notes !== undefined) parts.push(`${definition.notes}\n`);
    parts.push(...definition.examples.map((example) => `    ${example}`), '');
  }
  return `${parts.join('\n').trimEnd()}\n`;
}

function usageOf(command: Command): string {
  const names = command.registeredArguments.map((argument) => (argument.required ? `<${argument.name()}>` : `[${argument.name()}]`));
  return [...names, ...(command.options.length > 0 ? ['[options]'] : [])].join(' ');
}

const INTRODUCTION = `# The command line

Made by \`virga reference cli\`; do not edit.

\`bin/virga\` runs on the Node that Virga brings along. Every command prints its result alone on stdout (with \`--json\`
one JSON document) and everything else on stderr. With \`--json\` an error is one JSON line on stderr,
\`{"error":{"code","message","requestId"?,"detail"?}}\`. Colours only on a terminal, and never with \`NO_COLOR\`.

| exit | meaning |
| --- | --- |
| 0 | success |
| 1 | the operation, or the function, failed |
| 2 | wrong usage; nothing was tried |

## Which server

1. \`VIRGA_URL\`, with \`VIRGA_TOKEN\` or the token that \`virga login\` stored for this URL;
2. the node on this machine: the data folder \`VIRGA_DATA\`, else \`.virga\` in the current folder or the nearest one above;
3. the latest \`virga login\` (stored in \`~/.config/virga/logins.json\`, mode 0600).

## Which project

Commands that take \`--project\` mean, without it, the project of the \`virga.yaml\` in the current folder or the nearest
one above; else the only project that the server has. Between several they do not guess.
`;
