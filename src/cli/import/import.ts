// From a project for another cloud to a virga.yaml and a report. Invariants: what is written passes parseManifest; nothing is written
// before everything is read. Called by commands/import.ts.
import { existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import { CommandError } from '../failure.ts';
import { parseManifest } from '../manifest/manifest.ts';
import { withoutConflicts } from './aws-routes.ts';
import { detect } from './detect.ts';
import { ImportFiles } from './files.ts';
import type { ImportOptions } from './import-options.ts';
import { manifestText } from './manifest-text.ts';
import type { ImportedFunction, ImportedProject, ScaffoldFile } from './project.ts';
import { Report } from './report.ts';
import type { Item } from './report.ts';

export interface Imported {
  /** Absolute. */
  output: string;
  text: string;
  project: string;
  functions: string[];
  absent: string[];
  routes: number;
  /** To be made; with absolute paths. */
  scaffold: ScaffoldFile[];
  items: Item[];
}

export async function importProject(path: string, options: ImportOptions): Promise<Imported> {
  const target = resolve(path);
  const stat = statSync(target, { throwIfNoEntry: false });
  if (stat === undefined) throw new CommandError(`there is no file or folder '${path}'`);
  const folder = stat.isDirectory() ? target : dirname(target);
  const files = new ImportFiles(folder);
  const { file, read } = await detect(files, stat.isDirectory() ? undefined : basename(target));
  const report = new Report();
  const project = read(file, files, { options, report });
  const output = options.output === undefined ? join(files.folder, 'virga.yaml') : resolve(options.output);
  rebase(project, { files, output, report });
  withoutConflicts(project.functions, report);
  const text = manifestText(project, file);
  // The promise of this file, kept: a manifest that would be refused is a mistake of the import, told as one.
  checked(text, output, project);
  const { functions, absent } = project;
  return {
    output,
    text,
    project: project.name,
    functions: functions.map((fn) => fn.name),
    absent: absent.map((fn) => fn.name),
    routes: functions.flatMap((fn) => fn.routes).filter((route) => route.closed === undefined).length,
    scaffold: (project.scaffold ?? []).map((made) => ({ ...made, path: join(files.folder, made.path) })),
    items: report.items(),
  };
}

/** Sources that are still to be made are empty ones meanwhile, elsewhere. */
function checked(text: string, output: string, { functions, scaffold = [] }: ImportedProject): void {
  if (scaffold.length === 0) {
    parseManifest(text, output);
    return;
  }
  const folder = mkdtempSync(join(tmpdir(), 'virga-import-'));
  try {
    for (const { source } of functions) {
      mkdirSync(dirname(join(folder, source)), { recursive: true });
      writeFileSync(join(folder, source), '');
    }
    parseManifest(text, join(folder, 'virga.yaml'));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Paths are relative to the manifest, and nothing outside of its folder can be named in it. */
function rebase(project: ImportedProject, { files, output, report }: { files: ImportFiles; output: string; report: Report }): void {
  const parent = dirname(output);
  const from = existsSync(parent) ? realpathSync(parent) : parent;
  const moved = (path: string): string => relative(from, join(files.folder, path)).split(sep).join('/') || '.';
  const outside = (path: string): boolean => path === '..' || path.startsWith('../');
  const keep: ImportedFunction[] = [];
  for (const fn of project.functions) {
    fn.source = moved(fn.source);
    if (outside(fn.source)) {
      const why = `its source ${fn.source} is outside of the folder of virga.yaml; write that further up, with --output`;
      report.left(fn.at, fn.name, 'source', why);
      project.absent.push({ name: fn.name, why });
      continue;
    }
    for (const key of ['include', 'layers'] as const)
      fn[key] = fn[key].map(moved).filter((path) => {
        const why = outside(path)
          ? 'it is outside of the folder of virga.yaml; copy it there'
          : key === 'layers' && !existsSync(join(parent, path))
            ? 'there is no such folder; build it, and name it in `layers`'
            : undefined;
        if (why !== undefined) report.left(fn.at, fn.name, `${key} ${path}`, why);
        return why === undefined;
      });
    keep.push(fn);
  }
  project.functions = keep;
}
