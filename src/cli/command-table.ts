// The commands by name, with the line that `virga --help` shows, and where each lives. Invariant: loading this file loads
// no command. Used by command-line.ts and cli-program.ts.
import type { CommandEntry } from './command.ts';

const RUN = 'Run Virga:';
const SHIP = 'Ship a project:';
const LOOK = 'Look into it:';
const EVENTS = 'Events:';
const CONNECT = 'Connect:';

export const COMMANDS: readonly CommandEntry[] = [
  { name: 'start', group: RUN, summary: 'start Virga on this machine', load: () => import('./commands/start.ts') },
  { name: 'dev', group: RUN, summary: 'start Virga, deploy a project and redeploy what changes', load: () => import('./commands/dev.ts') },
  { name: 'init', group: SHIP, summary: 'make a small project to begin with', load: () => import('./commands/init.ts') },
  {
    name: 'import',
    group: SHIP,
    summary: 'make a virga.yaml from a project for another cloud',
    load: () => import('./commands/import.ts'),
  },
  { name: 'deploy', group: SHIP, summary: 'build a project and make it what is served', load: () => import('./commands/deploy.ts') },
  { name: 'diff', group: SHIP, summary: 'show what a deploy would change', load: () => import('./commands/diff.ts') },
  { name: 'export', group: SHIP, summary: 'write a project as another cloud takes it', load: () => import('./commands/export.ts') },
  {
    name: 'openapi',
    group: SHIP,
    summary: 'print the OpenAPI document of a project',
    load: () => import('./commands/openapi.ts'),
  },
  { name: 'rollback', group: SHIP, summary: 'return to an earlier deployment', load: () => import('./commands/rollback.ts') },
  {
    name: 'canary',
    group: SHIP,
    summary: 'give a share of the requests of a function to another of its versions',
    load: () => import('./commands/canary.ts'),
  },
  {
    name: 'promote',
    group: SHIP,
    summary: 'give all requests of a function to its canary',
    load: () => import('./commands/promote.ts'),
  },
  { name: 'remove', group: SHIP, summary: 'remove a project with all that is in it', load: () => import('./commands/remove.ts') },
  { name: 'keys', group: SHIP, summary: 'make, list, rotate and revoke API keys', load: () => import('./commands/keys.ts') },
  { name: 'secrets', group: SHIP, summary: 'store, list and remove secrets', load: () => import('./commands/secrets.ts') },
  { name: 'invoke', group: LOOK, summary: 'call a function directly and print its result', load: () => import('./commands/invoke.ts') },
  { name: 'logs', group: LOOK, summary: 'show log lines of a project or a function', load: () => import('./commands/logs.ts') },
  { name: 'invocations', group: LOOK, summary: 'list the calls of a function', load: () => import('./commands/invocations.ts') },
  {
    name: 'invocation',
    group: LOOK,
    summary: 'show one call: where its time went, and its log',
    load: () => import('./commands/invocation.ts'),
  },
  {
    name: 'recordings',
    group: LOOK,
    summary: 'list what was recorded of requests and events, and show it',
    load: () => import('./commands/recordings.ts'),
  },
  {
    name: 'replay',
    group: LOOK,
    summary: 'run a request, an event or a dead letter again, by any version, and compare',
    load: () => import('./commands/replay.ts'),
  },
  { name: 'projects', group: LOOK, summary: 'list the projects', load: () => import('./commands/projects.ts') },
  { name: 'functions', group: LOOK, summary: 'list the functions of a project', load: () => import('./commands/functions.ts') },
  { name: 'versions', group: LOOK, summary: 'list the versions of a function', load: () => import('./commands/versions.ts') },
  { name: 'routes', group: LOOK, summary: 'list the routes of a project', load: () => import('./commands/routes.ts') },
  { name: 'domains', group: LOOK, summary: 'list the domains of a project, and verify them', load: () => import('./commands/domains.ts') },
  { name: 'deployments', group: LOOK, summary: 'list the deployments of a project', load: () => import('./commands/deployments.ts') },
  {
    name: 'connections',
    group: LOOK,
    summary: 'list the WebSockets of a project, send to them, close one',
    load: () => import('./commands/connections.ts'),
  },
  { name: 'cache', group: LOOK, summary: 'show what the gateway keeps of answers, or drop it', load: () => import('./commands/cache.ts') },
  { name: 'usage', group: LOOK, summary: 'show what keys have used of their plans', load: () => import('./commands/usage.ts') },
  { name: 'status', group: LOOK, summary: 'show how the node is doing', load: () => import('./commands/status.ts') },
  {
    name: 'certificates',
    group: LOOK,
    summary: 'list the certificates of HTTPS and what is wrong with them',
    load: () => import('./commands/certificates.ts'),
  },
  {
    name: 'doctor',
    group: LOOK,
    summary: 'attack the walls of this machine from inside a sandbox, and tell what holds',
    load: () => import('./commands/doctor.ts'),
  },
  {
    name: 'queues',
    group: EVENTS,
    summary: 'list the queues of a project, send to them, look into them, empty them',
    load: () => import('./commands/queues.ts'),
  },
  { name: 'topics', group: EVENTS, summary: 'list the topics of a project, publish to them', load: () => import('./commands/topics.ts') },
  {
    name: 'streams',
    group: EVENTS,
    summary: 'list the streams of a project, append to them, look into them, read them again',
    load: () => import('./commands/streams.ts'),
  },
  {
    name: 'schedules',
    group: EVENTS,
    summary: 'list schedules, their next times; pause, resume and run them',
    load: () => import('./commands/schedules.ts'),
  },
  {
    name: 'deliveries',
    group: EVENTS,
    summary: 'list the messages that are on their way, take one back',
    load: () => import('./commands/deliveries.ts'),
  },
  {
    name: 'dead-letters',
    group: EVENTS,
    summary: 'list the messages that were given up, send them back, drop them',
    load: () => import('./commands/dead-letters.ts'),
  },
  {
    name: 'workflows',
    group: EVENTS,
    summary: 'list workflows and their runs, show one step by step, start, send to, cancel, retry',
    load: () => import('./commands/workflows.ts'),
  },
  { name: 'login', group: CONNECT, summary: 'remember a server and its token', load: () => import('./commands/login.ts') },
  {
    name: 'reference',
    group: CONNECT,
    summary: 'print a reference: of the manifest, of this program, …',
    load: () => import('./commands/reference.ts'),
  },
];
