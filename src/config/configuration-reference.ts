// docs/reference/configuration.md and the flags of `virga start`, both printed from settings-table.ts, so that neither can
// say anything else than what is parsed. Called by the CLI (start, reference); a test holds the file to it.
import { LIMIT_SETTINGS, NODE_SETTINGS } from './settings-table.ts';
import type { Machine, Setting } from './setting.ts';

/** For defaults that need no machine to be known. */
const ANY_MACHINE: Machine = { cores: 1, memoryMiB: 1024, folder: '/' };

/** Commander's flags and descriptions of `virga start`, e.g. `--edge-port <port>`. */
export function startFlags(): { flags: string; description: string }[] {
  return Object.values(NODE_SETTINGS)
    .filter(({ flag }) => flag !== undefined)
    .map((setting) => ({
      flags: `--${setting.flag} <${setting.placeholder ?? 'value'}>`,
      description: `${withoutCode(setting.meaning)} Default: ${defaultOf(setting)} (${setting.variable})`,
    }));
}

export function configurationReference(): string {
  const node = Object.values(NODE_SETTINGS).map((setting) => {
    const flag = setting.flag === undefined ? '' : `\`--${setting.flag}\``;
    return `| \`${setting.variable}\` | ${flag} | ${defaultOf(setting)} | ${setting.meaning} |`;
  });
  const limits = Object.values(LIMIT_SETTINGS).map((setting) => `| \`${setting.variable}\` | ${defaultOf(setting)} | ${setting.meaning} |`);
  return `# Configuration

Made from src/config/settings-table.ts by \`virga reference configuration\`; do not edit.

\`virga start\` needs no configuration. What it takes comes from its flags and from variables of the environment; a flag
wins over its variable, and an empty variable counts as absent. All that is wrong is reported at once, with exit status 2.
A variable that begins with \`VIRGA_\` and is not known is named in a warning.

| variable | flag | default | meaning |
| --- | --- | --- | --- |
${node.join('\n')}

## Limits

Everything that could grow has a bound. Values are whole numbers in the unit that the name or the default says.

| variable | default | meaning |
| --- | --- | --- |
${limits.join('\n')}

## Where sockets are

In \`run\` inside the data folder, which only its owner may enter. If that path is so long that a socket's would exceed
100 bytes (Linux allows 107), in \`/tmp/virga-\` followed by 16 hex digits of the sha256 of the data folder's path.

## The command line's own variables

\`VIRGA_URL\` and \`VIRGA_TOKEN\` name a server to commands other than \`virga start\`: see [the command line](cli.md).
`;
}

function defaultOf(setting: Setting<unknown>): string {
  return setting.defaultText ?? String(setting.default(ANY_MACHINE));
}

function withoutCode(text: string): string {
  return text.replaceAll('`', '');
}
