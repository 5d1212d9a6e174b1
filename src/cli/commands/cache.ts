// `virga cache stats|purge`: what the gateway has kept of a project's answers, and dropping it.
import type { Command } from 'commander';
import { bytesText } from '../../lib/units.ts';
import type { CommandDefinition } from '../command.ts';
import { UsageError } from '../failure.ts';
import { projectOf } from '../project.ts';
import { connect } from '../server.ts';
import { suggestion } from '../suggest.ts';
import { table } from '../table.ts';

interface Options {
  project?: string;
  tag?: string;
  path?: string;
}

export const command: CommandDefinition<Options> = {
  define(cli: Command) {
    cli
      .argument('<action>', 'stats: what is kept, and how often it was of use; purge: drop it')
      .option('-t, --tag <tag>', 'purge: only answers with this tag')
      .option('--path <path>', 'purge: only answers of this path and all below it')
      .option('-p, --project <name>', 'the project; without it, the one of the virga.yaml here');
  },
  examples: ['virga cache stats', 'virga cache purge --tag products', 'virga cache purge --path /blog --project tour'],
  async run({ terminal, settings }, [action], { tag, path, ...options }) {
    if (action !== 'stats' && action !== 'purge')
      throw new UsageError(`there is no '${action}' of the cache; expected stats or purge${suggestion(action ?? '', ['stats', 'purge'])}`);
    if (action === 'stats' && (tag ?? path) !== undefined) throw new UsageError('--tag and --path are for purge; stats shows everything');
    if (tag !== undefined && path !== undefined) throw new UsageError('--tag and --path together; give one of them, or neither for all');
    if (path !== undefined && !path.startsWith('/')) throw new UsageError(`--path is ${JSON.stringify(path)}; expected one such as /blog`);
    const client = connect(settings);
    const project = await projectOf(client, options.project);
    if (action === 'purge') {
      const purged = await client.purgeCache(project, { ...(tag !== undefined && { tag }), ...(path !== undefined && { path }) });
      const answers = purged.entries === 1 ? '1 answer' : `${purged.entries} answers`;
      terminal.result(purged, () => `Dropped ${answers} (${bytesText(purged.bytes)}).`);
      return;
    }
    const stats = await client.cacheStats(project);
    terminal.result(stats, () => {
      const { hits, misses } = stats;
      const rows = [
        ['entries', String(stats.entries)],
        [
          'bytes',
          `${bytesText(stats.bytes)} of ${bytesText(stats.bytesMax)}; the node ${bytesText(stats.node.bytes)} of ${bytesText(stats.node.bytesMax)}`,
        ],
        [
          'hits',
          `${hits}${hits + misses === 0 ? '' : ` (${Math.round((100 * hits) / (hits + misses))} %)`}, of these ${stats.stale} old, ${stats.coalesced} waited`,
        ],
        ['misses', `${misses}; ${stats.bypassed} not looked for`],
        ['stored', `${stats.stored}; ${stats.evictions} evicted, ${stats.purged} purged`],
      ];
      return table(['', 'since the edge started'], rows, (text) => terminal.paint('dim', text));
    });
  },
};
