// From a manifest to a deployment: build what is asked for, upload what the server lacks, and send the whole state.
// Invariant: nothing of the project changes before everything is built and uploaded; the server then takes all or nothing.
// Used by the commands deploy, diff and dev.
import { createReadStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DeployAnswer, DeployRequest, VirgaControl } from '../../sdk/src/control.ts';
import { buildFunctions } from './build/build.ts';
import type { Built } from './build/build.ts';
import { packFolder } from './build/static-folder.ts';
import type { PackedFolder } from './build/static-folder.ts';
import type { Manifest } from './manifest/manifest.ts';
import { bytesText } from '../lib/units.ts';
import { countText } from './phrases.ts';

export interface DeploymentOptions {
  client: VirgaControl;
  cacheFolder: string;
  dryRun?: boolean;
  fresh?: boolean;
  /** Of an earlier deployment by this process: functions that need no build. */
  kept?: ReadonlyMap<string, Built>;
  /** The same for folders that routes serve. */
  keptFolders?: ReadonlyMap<string, PackedFolder>;
  signal?: AbortSignal;
  /** What is going on, for people. */
  progress: (phase: string, detail?: string) => void;
}

export interface Deployment {
  answer: DeployAnswer;
  built: Map<string, Built>;
  /** Of routes with `static`, by folder. */
  folders: Map<string, PackedFolder>;
  uploadedBytes: number;
  /** What was noticed while building, and what the server says of it; for people. */
  warnings: string[];
}

const BAR_COLUMNS = 20;

export async function deployManifest(manifest: Manifest, options: DeploymentOptions): Promise<Deployment> {
  const { client, progress, kept } = options;
  const workFolder = await mkdtemp(join(tmpdir(), 'virga-build-'));
  try {
    const names = new Set(manifest.functions.map((fn) => fn.name).filter((name) => !kept?.has(name)));
    progress(`building ${countText(names.size, 'function')}`);
    const fresh = await buildFunctions(manifest, {
      workFolder,
      cacheFolder: options.cacheFolder,
      fresh: options.fresh ?? false,
      only: names,
      note: (text) => progress(text),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
    const built = new Map<string, Built>(fresh.map((one) => [one.name, one]));
    for (const fn of manifest.functions) if (!built.has(fn.name)) built.set(fn.name, kept!.get(fn.name)!);
    const folders = await packFolders(manifest, workFolder, options);
    const packed = [...folders.values()].filter(({ name }) => options.keptFolders?.has(name) !== true);
    const uploadedBytes = await upload([...fresh, ...packed], options);
    progress(`deploying ${manifest.project}`);
    const answer = await client.deploy(manifest.project, requestOf(manifest, built, folders), {
      dryRun: options.dryRun ?? false,
      signal: options.signal,
    });
    const warnings = fresh.flatMap((one) => one.warnings.map((text) => `${one.name}: ${text}`));
    warnings.push(...packed.flatMap((one) => one.warnings));
    if (answer.warning !== undefined) warnings.push(answer.warning);
    return { answer, built, folders, uploadedBytes, warnings };
  } finally {
    await rm(workFolder, { recursive: true, force: true });
  }
}

/** The folders that routes serve; those that have not changed are as they were. */
async function packFolders(manifest: Manifest, workFolder: string, options: DeploymentOptions): Promise<Map<string, PackedFolder>> {
  const { keptFolders, progress, signal } = options;
  const folders = new Map<string, PackedFolder>();
  for (const name of new Set(manifest.routes.flatMap((route) => (route.static === undefined ? [] : [route.static.folder])))) {
    const kept = keptFolders?.get(name);
    if (kept === undefined) progress(`packing ${name}`);
    const folder = join(manifest.folder, name);
    folders.set(name, kept ?? (await packFolder(name, { folder, workFolder, ...(signal === undefined ? {} : { signal }) })));
  }
  return folders;
}

function requestOf(manifest: Manifest, built: ReadonlyMap<string, Built>, packed: ReadonlyMap<string, PackedFolder>): DeployRequest {
  const functions: DeployRequest['functions'] = {};
  for (const fn of manifest.functions) {
    const { sha256, handler } = built.get(fn.name)!;
    functions[fn.name] = { artifact: sha256, settings: { ...fn.settings, handler }, ...fn.traffic };
  }
  const folders = Object.fromEntries([...packed].map(([name, { sha256 }]) => [name, sha256]));
  return {
    functions,
    routes: manifest.routes,
    ...(manifest.gateway === undefined ? {} : { gateway: manifest.gateway }),
    ...(packed.size === 0 ? {} : { folders }),
    ...(manifest.events === undefined ? {} : { events: manifest.events }),
  };
}

async function upload(
  built: readonly Pick<Built, 'name' | 'file' | 'sha256' | 'bytes'>[],
  { client, progress, signal }: DeploymentOptions,
): Promise<number> {
  const bySha = new Map(built.map((one) => [one.sha256, one]));
  const missing = await client.missingArtifacts([...bySha.keys()], { signal });
  let uploadedBytes = 0;
  for (const sha256 of missing) {
    const { name, file, bytes } = bySha.get(sha256)!;
    await client.uploadArtifact(sha256, createReadStream(file), {
      bytes,
      signal,
      onProgress: ({ sentBytes, totalBytes }) =>
        progress(`uploading ${name}`, `${bar(sentBytes / totalBytes)} ${bytesText(sentBytes)} of ${bytesText(totalBytes)}`),
    });
    uploadedBytes += bytes;
  }
  return uploadedBytes;
}

function bar(part: number): string {
  const full = Math.round(part * BAR_COLUMNS);
  return `[${'#'.repeat(full)}${'-'.repeat(BAR_COLUMNS - full)}]`;
}
