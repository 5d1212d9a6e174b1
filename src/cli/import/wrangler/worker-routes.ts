// Route patterns of a Worker (`example.com/api/*`) as routes of Virga: the part after the host. Used by wrangler.ts.
import { pathProblem } from '../../manifest/routes.ts';
import type { ImportedRoute } from '../project.ts';
import type { Section } from '../section.ts';
import { entryOf, textOf } from '../tree.ts';
import type { Tree } from '../tree.ts';

const EVERYTHING = ['/', '/{path+}'];

export function readRoutes(section: Section): ImportedRoute[] {
  const { report, subject } = section.reading;
  const single = section.take('route');
  const patterns = [...(single === undefined ? [] : [{ ...single, at: section.placeOf('route') }]), ...section.list('routes')];
  if (patterns.length === 0) return EVERYTHING.map((path) => ({ at: section.at, path, methods: null }));
  const routes = new Map<string, ImportedRoute>();
  for (const item of patterns) {
    const pattern = textOf(item.kind === 'mapping' ? entryOf(item, 'pattern') : item);
    if (pattern === undefined) {
      report.left(item.at, subject, 'a route', 'it has no pattern; write the route by hand');
      continue;
    }
    const [, host = '', rest = ''] = /^(?:\*?https?:\/\/|\*:\/\/)?([^/]*)(\/.*)?$/.exec(pattern) ?? [];
    const paths = pathsOf(rest, item);
    const problem = paths.map(pathProblem).find((one) => one !== undefined);
    if (paths.length === 0 || problem !== undefined) {
      report.left(
        item.at,
        subject,
        `route ${pattern}`,
        `${problem ?? 'Virga has no wildcard but for the rest of a path'}; write the route by hand`,
      );
      continue;
    }
    for (const path of paths) routes.set(path, { at: item.at, path, methods: null });
    report.changed(
      item.at,
      subject,
      `route ${pattern}`,
      `is ${paths.join(' and ')}; point ${host.replace(/^\*\.?/, '') || 'the domain'} at the node that serves the project`,
    );
  }
  return [...routes.values()];
}

function pathsOf(rest: string, item: Tree): string[] {
  const custom = item.kind === 'mapping' && textOf(entryOf(item, 'custom_domain')) === 'true';
  if (custom || rest === '/*' || rest === '*') return EVERYTHING;
  if (rest === '' || rest === '/') return ['/'];
  if (!rest.includes('*')) return [rest.replace(/\/$/, '')];
  const [, folder] = /^((?:\/[^/*]+)+)\/\*$/.exec(rest) ?? [];
  return folder === undefined ? [] : [folder, `${folder}/{path+}`];
}
