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

/** Made once for each: every call asks for it. */
const keys = new WeakMap<DeployedVersion, string>();

export function versionKey(v: DeployedVersion): string {
  let key = keys.get(v);
  if (key === undefined) keys.set(v, (key = `${v.project}/${v.function}@${v.version}#${v.createdAt}`));
  return key;
}

/** For messages: `function 'resize'`. */
export function nameOf(v: { function: string }): string {
  return `function '${v.function}'`;
}
