// `virga openapi [DIR]`: the OpenAPI document of a project, from its virga.yaml: what `gateway.openapi.serve` would serve.
import type { Command } from 'commander';
import type { CommandDefinition } from '../command.ts';
import { existingFolder } from '../values.ts';

export const command: CommandDefinition = {
  define(cli: Command) {
    cli.argument('[dir]', 'the folder with virga.yaml', '.');
  },
  examples: ['virga openapi > openapi.json', "virga openapi examples/tour | jq '.paths | keys'"],
  notes:
    'It needs no server. `info.version` is `gateway.openapi.version`, or `draft` where that is not there: a served document has the number of its deployment.',
  noJson: true,
  async run({ terminal }, [dir]) {
    const folder = existingFolder(dir!);
    const { readManifest } = await import('../manifest/manifest.ts');
    const { openApiDocument } = await import('../../protocol/openapi/document.ts');
    const { project, routes, gateway = {} } = readManifest(folder);
    terminal.outBytes(`${JSON.stringify(openApiDocument({ project, version: 'draft', routes, gateway }), null, 2)}\n`);
  },
};
