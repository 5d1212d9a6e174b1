// What `virga export` wrote beside a function: its form and handler before it was put into an adapter for AWS Lambda, and the variables
// that are the adapter's. Invariant: a template without it reads as any other. Used by functions.ts; written by export/template.ts.
import { posix } from 'node:path';
import { FORMS, FUNCTION_RUNTIMES } from '../../../protocol/settings.ts';
import type { ImportFiles } from '../files.ts';
import type { FoundCode } from '../lambda-code.ts';
import type { Report } from '../report.ts';
import { entryOf, textOf } from '../tree.ts';
import type { Mapping, Place } from '../tree.ts';

export interface Original {
  code(base: string | undefined, at: { files: ImportFiles; report: Report; name: string; at: Place }): FoundCode | undefined;
  /** Whether a variable is of the function, and not of the adapter. */
  isOwn(name: string): boolean;
}

export function originalOf(resource: Mapping): Original | undefined {
  const found = entryOf(entryOf(resource, 'Metadata'), 'Virga');
  if (found?.kind !== 'mapping') return undefined;
  const read = (key: string): string | undefined => textOf(entryOf(found, key));
  const runtime = FUNCTION_RUNTIMES.find((one) => one === read('runtime'));
  const form = FORMS.find((one) => one === read('form'));
  const handler = read('handler');
  const command = read('command');
  const added = new Set((read('variables') ?? '').split(' '));
  return {
    code(base, { files, report, name, at }) {
      if (base === undefined || runtime === undefined || !files.isFile(base) || posix.extname(base) !== '.zip') return undefined;
      report.carried(at, name, `code ${base}, runtime ${runtime}, form ${form ?? 'native'}`);
      return {
        source: base,
        runtime,
        ...(handler === undefined ? {} : { handler }),
        ...(command === undefined ? {} : { command }),
        ...(form === 'lambda' ? { form } : {}),
      };
    },
    isOwn: (variable) => !added.has(variable),
  };
}
