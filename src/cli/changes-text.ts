// What a deploy, a rollback or a diff changes, for people. Pure but for colours. Used by the commands deploy, diff,
// rollback and dev.
import type { Change, DeployAnswer } from '../../sdk/src/control.ts';
import type { Route } from '../protocol/settings.ts';
import { conditionsText, targetText } from '../protocol/route-text.ts';
import { table } from './table.ts';
import type { Style, Terminal } from './terminal.ts';

const MARKS: Record<Change['change'], { mark: string; style: Style }> = {
  create: { mark: '+', style: 'green' },
  update: { mark: '~', style: 'yellow' },
  remove: { mark: '-', style: 'red' },
  none: { mark: '=', style: 'dim' },
};

export function changesText(answer: DeployAnswer, terminal: Terminal): string {
  const { project, url, changed, dryRun, deployment } = answer;
  const isNew = answer.changes.some((change) => change.kind === 'project' && change.change === 'create');
  const rows = answer.changes
    // Of a new project all routes are new; the list of URLs says that.
    .filter((change) => change.kind !== 'route' || (change.change !== 'none' && !isNew))
    .map((change) => {
      const { mark, style } = MARKS[change.change];
      const version = change.version === undefined ? '' : `version ${change.version}`;
      return [`  ${terminal.paint(style, mark)}`, change.kind, terminal.paint(style, change.name), version, change.detail.join(', ')];
    });
  const head = !changed
    ? `Nothing ${dryRun ? 'would change' : 'changed'} in ${project}${deployment === null ? '' : ` (deployment ${deployment})`}`
    : dryRun
      ? `Would change ${project}`
      : `Deployed ${project} (deployment ${deployment})`;
  return [terminal.paint('bold', head), ...(rows.length === 0 ? [] : [table([], rows)]), `  ${url}`].join('\n');
}

/** A line for each route, to click on. */
export function urlsText(url: string, routes: readonly Route[]): string {
  const rows = routes.map((route) => [
    `  ${route.methods === null ? 'ANY' : route.methods.join(',')}`,
    `${url.replace(/\/$/, '')}${route.path}`,
    [route.function ?? targetText(route), conditionsText(route.conditions)].filter((text) => text !== '').join(' if '),
  ]);
  return table([], rows);
}
