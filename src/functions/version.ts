// A deployed version as the engine and the gateway know it: an entry of the read model.
import type { VersionSettings } from '../protocol/settings.ts';

export interface DeployedVersion {
  project: string;
  function: string;
  version: number;
  artifact: string;
  settings: VersionSettings;
}

export function versionKey(v: { project: string; function: string; version: number }): string {
  return `${v.project}/${v.function}@${v.version}`;
}

/** For messages: `function 'resize'`. */
export function nameOf(v: { function: string }): string {
  return `function '${v.function}'`;
}
