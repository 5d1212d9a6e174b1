// Settings of a function as properties of AWS::Serverless::Function. Invariants: what AWS bounds otherwise is brought within its bounds
// and reported; what AWS has no counterpart for is reported with what happens instead; what Virga's defaults say is not written
// where it would cost the account (reserved concurrency). Pure. Used by export-lambda.ts.
import { EGRESS_DEFAULT } from '../../protocol/egress.ts';
import { SETTING_LIMITS } from '../../protocol/settings.ts';
import type { ManifestFunction } from '../manifest/manifest.ts';
import { durationText, sizeText } from '../../lib/units.ts';
import type { FunctionReport } from './export-report.ts';

/** https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html */
const MEMORY_MB = { min: 128, max: 10_240 };
const TIMEOUT_S = { min: 1, max: 900 };
const STORAGE_MB = { min: 512, max: 10_240 };
/** How long an HTTP API, and a REST API, wait for a function. */
const GATEWAY_MS = { '2.0': 30_000, '1.0': 29_000, 'function-url': Infinity };
const ALIAS = 'live';

export function settingProperties(fn: ManifestFunction, routes: number, report: FunctionReport): Record<string, unknown> {
  const { settings } = fn;
  const properties: Record<string, unknown> = {
    MemorySize: memoryOf(settings.memoryMiB, report),
    Timeout: timeoutOf(settings.timeoutMs, report),
  };
  const gatewayMs = GATEWAY_MS[settings.httpEvent ?? '2.0'];
  if (routes > 0 && settings.timeoutMs > gatewayMs)
    report.changed(
      'timeout',
      `timeout ${durationText(settings.timeoutMs)}`,
      `API Gateway gives up after ${durationText(gatewayMs)}; call the function directly where it takes longer`,
    );
  if (settings.tmpMiB !== SETTING_LIMITS.tmpMiB.default) properties['EphemeralStorage'] = { Size: storageOf(settings.tmpMiB, report) };
  const { min, max, windows = [] } = settings.instances;
  if (max !== SETTING_LIMITS.instancesMax.default) {
    properties['ReservedConcurrentExecutions'] = max;
    report.carried('instances.max', `instances.max ${max}, as reserved concurrency`);
  }
  if (min > 0) {
    properties['AutoPublishAlias'] = ALIAS;
    properties['ProvisionedConcurrencyConfig'] = { ProvisionedConcurrentExecutions: min };
    report.changed(
      'instances.min',
      `instances.min ${min}`,
      `is provisioned concurrency of the alias ${ALIAS}, which AWS bills also while nothing runs`,
    );
  }
  if (windows.length > 0)
    report.left(
      'instances.windows',
      `instances.windows (${windows.length})`,
      'add scheduled actions of Application Auto Scaling to the alias of the function',
    );
  reportMissing(fn, report);
  return properties;
}

function memoryOf(mib: number, report: FunctionReport): number {
  const inside = within(mib, MEMORY_MB);
  if (inside === mib) report.carried('memory', `memory ${sizeText(mib)}`);
  else report.changed('memory', `memory ${sizeText(mib)}`, `is ${inside} MB: AWS takes ${MEMORY_MB.min} to ${MEMORY_MB.max}`);
  return inside;
}

function timeoutOf(ms: number, report: FunctionReport): number {
  const seconds = within(Math.ceil(ms / 1_000), TIMEOUT_S);
  if (seconds * 1_000 === ms) report.carried('timeout', `timeout ${durationText(ms)}`);
  else report.changed('timeout', `timeout ${durationText(ms)}`, `is ${seconds} s: AWS counts in seconds, up to ${TIMEOUT_S.max}`);
  return seconds;
}

function storageOf(mib: number, report: FunctionReport): number {
  const inside = within(mib, STORAGE_MB);
  if (inside === mib) report.carried('tmp', `tmp ${sizeText(mib)}`);
  else report.changed('tmp', `tmp ${sizeText(mib)}`, `is ${inside} MB: AWS takes ${STORAGE_MB.min} to ${STORAGE_MB.max}`);
  return inside;
}

function reportMissing({ settings }: ManifestFunction, report: FunctionReport): void {
  const { concurrency, cpus, pids, queue, idleMs, isolation, egress } = settings;
  if (concurrency > 1)
    report.changed(
      'concurrency',
      `concurrency ${concurrency}`,
      'AWS gives an instance one call at a time, and starts more instances; state that calls share in memory is no longer shared',
    );
  if (cpus !== SETTING_LIMITS.cpus.default)
    report.left('cpus', `cpus ${cpus}`, 'AWS gives processors by memory, one for each 1769 MB; choose the memory by that');
  if (pids !== SETTING_LIMITS.pids.default)
    report.left('pids', `pids ${pids}`, 'AWS has a limit of its own, 1024 processes and threads; nothing can be set');
  if (queue !== SETTING_LIMITS.queue.default)
    report.left(
      'queue',
      `queue ${queue}`,
      'AWS keeps no calls waiting: beyond the concurrency it answers 429 at once; the client has to call again',
    );
  if (idleMs !== SETTING_LIMITS.idleMs.default)
    report.left(
      'idle',
      `idle ${durationText(idleMs)}`,
      'AWS decides how long an idle instance is kept; where it matters use instances.min',
    );
  if (isolation !== 'standard')
    report.changed('isolation', `isolation ${isolation}`, 'AWS runs every instance in a virtual machine of its own');
  if (egress !== EGRESS_DEFAULT) {
    const shown = typeof egress === 'string' ? egress : `[${egress.join(', ')}]`;
    report.left(
      'egress',
      `egress ${shown}`,
      'the function reaches everything at AWS; put it into a VPC (VpcConfig) whose security groups let out what it may reach',
    );
  }
}

function within(value: number, limit: { min: number; max: number }): number {
  return Math.min(limit.max, Math.max(limit.min, value));
}
