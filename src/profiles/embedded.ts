// The embedded profile: which adapter fills which port on a single machine. Read it as the list of what is plugged in
// where; cluster.ts, when it comes, differs in these lines only. Callers: server/edge.ts, control.ts, launcher.ts.
import type pg from 'pg';
import type { Config } from '../config/config.ts';
import type { Bus } from '../events/bus.ts';
import { PostgresBus } from '../events/postgres/postgres.ts';
import { BatchRecorder } from '../observe/batch-recorder.ts';
import type { Recorder } from '../observe/recorder.ts';
import { LauncherClient } from '../sandbox/launcher/client.ts';
import type { Sandboxes } from '../sandbox/sandbox.ts';
import { DiskBlobs } from '../store/blobs/disk.ts';
import type { Blobs } from '../store/blobs/blobs.ts';
import { postgresConnection } from '../store/records/postgres.ts';

type Log = (level: 'debug' | 'info' | 'warn' | 'error', message: string, fields?: Record<string, unknown>) => void;

export function connectionOf(config: Config): pg.ClientConfig {
  return postgresConnection(config);
}

export function sandboxesOf(config: Config): Sandboxes {
  return new LauncherClient(config);
}

export function recorderOf(config: Config, log: Log): Recorder {
  return new BatchRecorder({ connection: connectionOf(config), bufferBytes: config.limits.recordBufferBytes, log });
}

export function blobsOf(config: Config): Blobs {
  return new DiskBlobs(config.dataFolder);
}

/** `holder`: the role, and what makes it one of a kind; it holds what it receives, also after a restart. */
export function busOf(config: Config, holder: string, log: Log): Bus {
  return new PostgresBus({ connection: connectionOf(config), holder, log });
}
