// What the bundler complains about, as one error with file, line and column for each complaint. Invariant: at most 20
// complaints, paths relative to the folder of the manifest. Used by node.ts.
import { relative } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { VirgaError } from '../../protocol/errors.ts';

interface Complaint {
  message?: string;
  code?: string;
  id?: string;
  loc?: { file?: string; line?: number; column?: number };
}

const COMPLAINTS_MAX = 20;

export function bundleFailure(error: unknown, folder: string): VirgaError {
  if (error instanceof VirgaError) return error;
  const complaints = (error as { errors?: Complaint[] }).errors ?? [error as Complaint];
  const lines = complaints.slice(0, COMPLAINTS_MAX).map((complaint) => {
    const text = stripVTControlCharacters(complaint.message ?? 'the bundler failed')
      .trim()
      .replace(/^\[\w+\] /, '');
    const file = complaint.loc?.file ?? complaint.id;
    if (file === undefined) return text;
    const near = relative(folder, file);
    const place = `${near.startsWith('../../..') ? file : near}${complaint.loc?.line === undefined ? '' : `:${complaint.loc.line}:${(complaint.loc.column ?? 0) + 1}`}`;
    return `${place}: ${text}`;
  });
  if (complaints.length > COMPLAINTS_MAX) lines.push(`… and ${complaints.length - COMPLAINTS_MAX} more`);
  return new VirgaError('build_failed', lines.join('\n'), { cause: error });
}

/** Imports of packages that are not installed; `exporter` is what the import asks for. */
export function unresolvedImports(logs: readonly (Complaint & { exporter?: string })[], folder: string): VirgaError {
  const unique = new Map(logs.map((log) => [`${log.id} ${log.loc?.line} ${log.exporter}`, log]));
  const errors = [...unique.values()].map((log) => ({
    ...log,
    message: `the package '${log.exporter}' is not installed; run \`npm install ${log.exporter}\``,
  }));
  return bundleFailure({ errors }, folder);
}
