// Reads the settings of a node from the flags of `virga start` and the environment; a flag wins over its variable, an
// empty variable counts as absent. Invariant: all problems are reported together, each with the value, where it came
// from, and what to give instead; what comes out is complete and checked. Called once, by start, dev and doctor.
import { createHash } from 'node:crypto';
import { availableParallelism, totalmem } from 'node:os';
import { join } from 'node:path';
import { closestWord } from '../lib/closest-word.ts';
import type { Config, Limits } from './config.ts';
import { LIMIT_SETTINGS, NODE_SETTINGS } from './settings-table.ts';
import type { Machine, Setting } from './setting.ts';

/** Wrong settings, worded for the person who gave them. The CLI prints the message and exits 2. */
export class ConfigurationError extends Error {
  override readonly name = 'ConfigurationError';
  readonly problems: string[];

  constructor(problems: string[]) {
    super(problems.join('\n'));
    this.problems = problems;
  }
}

export interface ConfigReading {
  config: Config;
  /** Whole sentences about what is strange but no reason to stop. */
  warnings: string[];
}

/** Keys as commander has them: `edgePort` for --edge-port. Other keys are somebody else's. */
export type StartFlags = Partial<Record<string, string>>;

/** Ours, but not settings of a node: where a client finds a server, and what the supervisor hands to a role. */
const OTHER_VARIABLES = ['VIRGA_URL', 'VIRGA_TOKEN', 'VIRGA_ROLE_CONFIG'];

/** A socket's path has at most 107 bytes; the rest is room for a name that is longer than today's. */
const SOCKET_PATH_BYTES_MAX = 100;
const SOCKETS = ['.s.PGSQL.5432', 'channels.sock'];

/** Throws ConfigurationError. */
export function readConfig(flags: StartFlags = {}, env: NodeJS.ProcessEnv = process.env, machine: Machine = thisMachine()): ConfigReading {
  const problems: string[] = [];
  const read = <T>(setting: Setting<T>): T => {
    const given = givenFor(setting, flags, env);
    if (given === undefined) return setting.default(machine);
    const parsed = setting.parse(given.text, machine);
    if ('value' in parsed) return parsed.value;
    problems.push(
      setting.secret ? `${given.source} is ${parsed.problem}` : `${given.source} is '${given.text.slice(0, 200)}': ${parsed.problem}`,
    );
    return setting.default(machine);
  };
  const table = NODE_SETTINGS;
  const dataFolder = read(table.dataFolder);
  const config: Config = {
    dataFolder,
    runFolder: runFolderOf(dataFolder),
    edgeHost: read(table.edgeHost),
    edgePort: read(table.edgePort),
    controlHost: read(table.controlHost),
    controlPort: read(table.controlPort),
    log: read(table.log),
    httpsPort: read(table.httpsPort),
    httpsRedirect: read(table.httpsRedirect),
    tlsCertificates: read(table.tlsCertificates),
    acmeDomains: read(table.acmeDomains),
    acmeDirectory: read(table.acmeDirectory),
    acmeEmail: read(table.acmeEmail),
    acmeCa: read(table.acmeCa),
    acmeChallenge: read(table.acmeChallenge),
    secretKey: read(table.secretKey),
    trustedProxies: read(table.trustedProxies),
    proxyProtocol: read(table.proxyProtocol),
    accessLog: read(table.accessLog),
    accessLogFile: read(table.accessLogFile),
    egressPrivate: read(table.egressPrivate),
    issuersPrivate: read(table.issuersPrivate),
    webhooksPrivate: read(table.webhooksPrivate),
    egressResolvers: read(table.egressResolvers),
    checkedResponses: read(table.checkedResponses),
    domainsTrusted: read(table.domainsTrusted),
    domainResolvers: read(table.domainResolvers),
    postgresUrl: read(table.postgresUrl),
    sandboxDriver: read(table.sandboxDriver),
    ociRuntime: read(table.ociRuntime),
    limits: Object.fromEntries(Object.entries(LIMIT_SETTINGS).map(([key, setting]) => [key, read(setting)])) as unknown as Limits,
  };
  if (config.edgePort === config.controlPort) {
    const sources = [table.edgePort, table.controlPort].map(
      (setting) => givenFor(setting, flags, env)?.source ?? `the default of ${setting.variable}`,
    );
    problems.push(
      `the edge and the control API cannot share port ${config.edgePort} (${sources.join(' and ')}): choose another for one of them, with --edge-port or --control-port`,
    );
  }
  if (config.httpsPort !== null && [config.edgePort, config.controlPort].includes(config.httpsPort)) {
    problems.push(
      `HTTPS cannot share port ${config.httpsPort} with the edge or the control API: choose another with --https-port (VIRGA_HTTPS_PORT)`,
    );
  }
  if (
    config.proxyProtocol &&
    (config.trustedProxies === 0 || (Array.isArray(config.trustedProxies) && config.trustedProxies.length === 0))
  ) {
    problems.push('VIRGA_PROXY_PROTOCOL is true, but nobody is trusted to speak it: name the load balancers in VIRGA_TRUSTED_PROXIES');
  }
  if (problems.length > 0) throw new ConfigurationError(problems);
  return { config, warnings: [...unknownVariables(env), ...strangeLimits(config, machine)] };
}

/** `<data>/run`, unless the paths of its sockets would be too long: then a folder of a short name that is this data folder's alone. */
export function runFolderOf(dataFolder: string): string {
  const inside = join(dataFolder, 'run');
  const longest = Math.max(...SOCKETS.map((name) => Buffer.byteLength(join(inside, name))));
  return longest <= SOCKET_PATH_BYTES_MAX ? inside : `/tmp/virga-${createHash('sha256').update(dataFolder).digest('hex').slice(0, 16)}`;
}

function givenFor(setting: Setting<unknown>, flags: StartFlags, env: NodeJS.ProcessEnv): { text: string; source: string } | undefined {
  const flag = setting.flag === undefined ? undefined : flags[camelCase(setting.flag)];
  if (flag !== undefined) return { text: flag, source: `--${setting.flag}` };
  const variable = env[setting.variable];
  return variable === undefined || variable === '' ? undefined : { text: variable, source: setting.variable };
}

function camelCase(flag: string): string {
  return flag.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
}

function unknownVariables(env: NodeJS.ProcessEnv): string[] {
  const known = [...Object.values(NODE_SETTINGS), ...Object.values(LIMIT_SETTINGS)].map(({ variable }) => variable).concat(OTHER_VARIABLES);
  return Object.keys(env)
    .filter((name) => name.startsWith('VIRGA_') && !known.includes(name))
    .toSorted()
    .map((name) => {
      const meant = closestWord(name, known);
      return `the variable ${name} means nothing to Virga and is ignored${meant === undefined ? '' : `; did you mean ${meant}?`}`;
    });
}

function strangeLimits({ limits }: Config, machine: Machine): string[] {
  if (limits.sandboxMemoryMiB <= machine.memoryMiB) return [];
  const { variable } = LIMIT_SETTINGS.sandboxMemoryMiB;
  return [
    `${variable} is ${limits.sandboxMemoryMiB} MiB, but this machine has ${machine.memoryMiB} MiB: busy functions can run it out of memory`,
  ];
}

function thisMachine(): Machine {
  // In a container the limit of its cgroup counts; without one it is 0 or far beyond the memory there is.
  const constrained = process.constrainedMemory();
  const bytes = constrained > 0 ? Math.min(constrained, totalmem()) : totalmem();
  return { cores: availableParallelism(), memoryMiB: Math.floor(bytes / 1024 / 1024), folder: process.cwd() };
}
