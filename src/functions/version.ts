// A deployed version as the engine and the gateway know it: an entry of the read model.
import type { VersionSettings } from '../protocol/settings.ts';

export interface DeployedVersion {
  project: string;
  function: string;
  version: number;
  artifact: string;
  settings: VersionSettings;
  /** Unix ms: tells version 1 of a project from version 1 of its namesake before it was removed. */
  createdAt: number;
}

export function versionKey(v: DeployedVersion): string {
  return `${v.project}/${v.function}@${v.version}#${v.createdAt}`;
}

/** For messages: `function 'resize'`. */
export function nameOf(v: { function: string }): string {
  return `function '${v.function}'`;
}
