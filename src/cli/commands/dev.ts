// `virga dev DIR`: Virga in this one process, with the project of a folder deployed, redeployed as it changes, and its log.
// Invariant: a mistake in the manifest or in the code is shown, and what was deployed before keeps serving.
import { readFileSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { Command } from 'commander';
import { VirgaControl } from '../../../sdk/src/control.ts';
import type { DeployAnswer } from '../../../sdk/src/control.ts';
import { changesText, urlsText } from '../changes-text.ts';
import type { CommandContext, CommandDefinition } from '../command.ts';
import { reportFailure, UsageError } from '../failure.ts';
import { logLineText } from '../log-text.ts';
import { addNodeOptions, nodeConfig } from '../node-options.ts';
import type { NodeOptions } from '../node-options.ts';
import { Redeployer } from '../redeploy.ts';
import { FolderWatch } from '../watch.ts';

const QUIET_MS = 40;

export const command: CommandDefinition<NodeOptions> = {
  define(cli: Command) {
    cli.argument('[dir]', 'the folder with virga.yaml', '.');
    addNodeOptions(cli);
  },
  examples: ['virga dev', 'virga dev examples/tour --edge-port 9080'],
  notes: 'The log of the project goes to stdout, everything else to stderr. Ctrl-C stops it all. What it deploys stays in the data folder.',
  noJson: true,
  ownSignals: true,
  async run(context, [dir], options) {
    const found = statSync(dir!, { throwIfNoEntry: false });
    if (found === undefined) throw new UsageError(`there is no folder ${JSON.stringify(dir)}`);
    const folder = found.isDirectory() ? resolve(dir!) : dirname(resolve(dir!));
    const { manifestFile } = await import('../manifest/manifest.ts');
    manifestFile(dir!); // that there is none is worth knowing before anything starts
    const config = await nodeConfig(options, context.terminal);
    const { startInProcess } = await import('../../server/in-process.ts');
    const { createPlatformLog } = await import('../../server/platform-log.ts');
    const node = await startInProcess(config, createPlatformLog('dev', config.log));
    try {
      const token = readFileSync(join(config.dataFolder, 'operator-token'), 'utf8').trim();
      await watchProject(context, {
        client: new VirgaControl({ url: node.controlUrl, token }),
        path: dir!,
        folder,
        dataFolder: config.dataFolder,
      });
    } finally {
      context.terminal.note('Stopping');
      await node.close();
    }
  },
};

interface Project {
  client: VirgaControl;
  path: string;
  folder: string;
  dataFolder: string;
}

async function watchProject(context: CommandContext, project: Project): Promise<void> {
  const { terminal, settings, signal } = context;
  const { client, path, folder, dataFolder } = project;
  const redeployer = new Redeployer(path, { client, cacheFolder: settings.cacheFolder, signal, progress: () => {} });
  const following = new Map<string, Promise<void>>();
  let first = true;
  const deploy = async (changed: ReadonlySet<string> | undefined): Promise<void> => {
    const startedAt = performance.now();
    try {
      const { deployment, manifest, rebuilt } = await redeployer.deploy(changed);
      const { answer } = deployment;
      watch.alsoWatch(redeployer.sources());
      if (!following.has(answer.project)) following.set(answer.project, follow(context, client, answer.project));
      const ms = Math.round(performance.now() - startedAt);
      if (first)
        terminal.note(`${changesText(answer, terminal)}\n${urlsText(answer.url, manifest.routes)}\nWatching ${folder}; Ctrl-C stops.`);
      else if (answer.changed) terminal.note(`${terminal.paintError('green', 'redeployed')} ${changedText(answer)} in ${ms} ms`);
      else terminal.note(terminal.paintError('dim', `built ${rebuilt.join(', ') || 'nothing'} in ${ms} ms: no change`));
      for (const text of deployment.warnings) terminal.note(`${terminal.paintError('yellow', 'warning:')} ${text}`);
      first = false;
    } catch (error) {
      if (signal.aborted) return;
      reportFailure(error, terminal, 'dev');
      terminal.note(first ? 'Waiting for a change.' : 'What was deployed before keeps serving.');
    }
  };
  const watch = new FolderWatch({
    folder,
    except: dataFolder,
    quietMs: QUIET_MS,
    onChange: deploy,
    onError: (error) => terminal.note(`${terminal.paintError('yellow', 'warning:')} watching failed: ${error.message}`),
  });
  try {
    await deploy(undefined);
    if (!signal.aborted) await new Promise<void>((done) => signal.addEventListener('abort', () => done(), { once: true }));
  } finally {
    watch.close();
    await Promise.allSettled(following.values());
  }
}

/** `hello, stats and 2 routes`. */
function changedText({ changes }: DeployAnswer): string {
  const changed = changes.filter((change) => change.change !== 'none');
  const names = changed.filter((change) => change.kind === 'function' || change.kind === 'folder').map((change) => change.name);
  const routes = changed.filter((change) => change.kind === 'route').length;
  return [names.join(', '), routes === 0 ? '' : `${routes} ${routes === 1 ? 'route' : 'routes'}`]
    .filter((text) => text !== '')
    .join(' and ');
}

/** The log of the project, until the end. */
async function follow({ terminal, signal }: CommandContext, client: VirgaControl, project: string): Promise<void> {
  try {
    for await (const line of client.followLogs(project, { signal })) terminal.out(logLineText(line, terminal, { stdout: true }));
  } catch (error) {
    terminal.note(`${terminal.paintError('yellow', 'warning:')} the log cannot be followed any more: ${(error as Error).message}`);
  }
}
