// The global console writes log records: one for each call, however many lines it has, with the level of the method and
// the invocation that the calling code belongs to. Invariant: what a user sees is what Node prints (util.format, group
// indentation), and methods that are not replaced here (table, count, time, assert…) end up in those that are.
// Installed by guest.ts before user code is loaded.
import { format, inspect } from 'node:util';
import type { InspectOptions } from 'node:util';
import type { LogLevelName } from '../../protocol/frames.ts';
import { running } from './invocation.ts';
import type { LogRecords } from './log-records.ts';
import { releaseSourceMaps } from './source-maps.ts';

const INDENT = '  ';

export function installConsole(log: LogRecords): void {
  let indent = '';
  const record = (level: LogLevelName, text: string): void => {
    const invocation = running.getStore();
    if (invocation?.isReplay?.() === true) return;
    const indented = indent === '' ? text : indent + text.replaceAll('\n', `\n${indent}`);
    log.write(invocation?.stream ?? 0, level, indented);
  };
  const method = (level: LogLevelName) => {
    return (...args: unknown[]): void => {
      // The common case needs no formatting.
      if (args.length === 1 && typeof args[0] === 'string') return record(level, args[0]);
      // There may be an error among them.
      releaseSourceMaps();
      record(level, format(...args));
    };
  };
  const debug = method('debug');
  const info = method('info');
  const error = method('error');
  const group = (...args: unknown[]): void => {
    if (args.length > 0) info(...args);
    indent += INDENT;
  };
  const trace = (...args: unknown[]): void => {
    releaseSourceMaps();
    const at = { name: 'Trace', message: format(...args), stack: '' };
    Error.captureStackTrace(at, trace);
    debug(at.stack);
  };
  const methods = {
    debug,
    log: info,
    info,
    warn: method('warn'),
    error,
    trace,
    dir(value: unknown, options?: InspectOptions): void {
      record('info', inspect(value, { customInspect: false, ...options }));
    },
    group,
    groupCollapsed: group,
    groupEnd(): void {
      indent = indent.slice(INDENT.length);
    },
  };
  Object.assign(console, methods);
}
