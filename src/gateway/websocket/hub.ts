// All connections of this node: by id, by project, by group; who may be added, what is sent to many, whose time has come.
// Invariant: a project reaches its own connections and no others; connections and what is held for them are bounded (limits);
// a message to many is sent in slices, in the order of what the project sends, so that other work goes on between.
// Made by server/edge.ts; asked by websocket.ts, guest-door.ts and the edge's private server.
import type { Call, CallRequest } from '../../functions/call.ts';
import type { DeployedVersion } from '../../functions/version.ts';
import { TimerWheel } from '../../lib/timer-wheel.ts';
import { VirgaError } from '../../protocol/errors.ts';
import type { ReadModel } from '../read-model.ts';
import type { Connection, Home } from './connection.ts';
import { GROUPS_MAX } from './event-answer.ts';
import type { Outgoing } from './outgoing.ts';
import { CloseCode } from './wire.ts';

export interface SocketLimits {
  connectionsMax: number;
  projectConnectionsMax: number;
  /** What may wait for one slow client, bytes. */
  bufferBytesMax: number;
  /** What is held for all connections of the node, both ways, bytes. */
  heldBytesMax: number;
}

export interface HubOptions {
  model: ReadModel;
  limits: SocketLimits;
  invoke: (request: CallRequest) => Call | VirgaError;
}

/** One turn of the wheel. */
const TURN_MS = 1_000;
/** Sends at once before others get a turn. */
const SLICE = 256;
/** Messages to many that wait, of one project. */
const JOBS_MAX = 1_000;

interface Job {
  message: Outgoing;
  to: Connection[];
  at: number;
  sent: number;
  except: string | undefined;
  done: (sent: number) => void;
}

interface Project {
  connections: Map<string, Connection>;
  groups: Map<string, Set<Connection>>;
  jobs: Job[];
}

export class Hub implements Home {
  readonly limits: SocketLimits;
  readonly wheel = new TimerWheel<Connection>();
  readonly invoke: HubOptions['invoke'];
  readonly #model: ReadModel;
  readonly #projects = new Map<string, Project>();
  readonly #ticker: NodeJS.Timeout;
  /** Those that are being asked for, with those that are. */
  readonly #all = new Set<Connection>();
  /** Projects with jobs, in turns; while it is not empty, one of them has its slice or waits for it. */
  readonly #sending: string[] = [];
  #draining = false;
  heldBytes = 0;

  constructor(options: HubOptions) {
    this.limits = options.limits;
    this.invoke = options.invoke;
    this.#model = options.model;
    this.#ticker = setInterval(() => this.turn(), TURN_MS);
    this.#ticker.unref();
  }

  /** In turns of the wheel: seconds. */
  get now(): number {
    return this.wheel.now;
  }

  /** A second has passed. */
  turn(): void {
    this.wheel.turn((connection) => connection.due());
  }

  get size(): number {
    return this.#all.size;
  }

  get hasRoom(): boolean {
    return this.heldBytes <= this.limits.heldBytesMax;
  }

  versionOf(connection: Connection): DeployedVersion | undefined {
    // The end of a connection whose route is gone is told to who let it in.
    const name = connection.served.rules?.function ?? connection.function;
    return this.#model.project(connection.project)?.functions.get(name);
  }

  /** Why there is no place for one more. */
  refusal(project: string): VirgaError | undefined {
    const { connectionsMax, projectConnectionsMax } = this.limits;
    if (this.#draining) return new VirgaError('unavailable', 'this node is stopping');
    if (this.#all.size >= connectionsMax || !this.hasRoom) {
      return new VirgaError('node_overloaded', `this node has as many WebSockets as it may (${connectionsMax}, VIRGA_LIMIT_WEBSOCKETS)`, {
        retryAfterS: 5,
      });
    }
    if ((this.#projects.get(project)?.connections.size ?? 0) < projectConnectionsMax) return undefined;
    const message = `project '${project}' has as many WebSockets as it may (${projectConnectionsMax}, VIRGA_LIMIT_PROJECT_WEBSOCKETS)`;
    return new VirgaError('project_overloaded', message, { retryAfterS: 5 });
  }

  add(connection: Connection): void {
    this.#all.add(connection);
    this.#project(connection.project).connections.set(connection.id, connection);
  }

  /** It was accepted. */
  accepted(connection: Connection): void {
    connection.schedule();
    if (this.#draining) connection.leave(CloseCode.goingAway, 'going away');
  }

  gone(connection: Connection): void {
    if (!this.#all.delete(connection)) return;
    this.wheel.remove(connection);
    const project = this.#project(connection.project);
    project.connections.delete(connection.id);
    for (const name of connection.groups ?? []) leave(project, name, connection);
    if (project.connections.size === 0 && project.jobs.length === 0) this.#projects.delete(connection.project);
  }

  setGroups(connection: Connection, names: readonly string[]): void {
    for (const name of connection.groups ?? []) if (!names.includes(name)) this.leaveGroup(connection, name);
    for (const name of names) this.joinGroup(connection, name);
  }

  joinGroup(connection: Connection, name: string): void {
    if (!this.#all.has(connection)) return;
    const groups = (connection.groups ??= new Set());
    if (groups.has(name)) return;
    if (groups.size >= GROUPS_MAX)
      throw new VirgaError('invalid_request', `the connection is in ${GROUPS_MAX} groups, and may be in no more`);
    groups.add(name);
    const project = this.#project(connection.project);
    const members = project.groups.get(name);
    if (members === undefined) project.groups.set(name, new Set([connection]));
    else members.add(connection);
  }

  leaveGroup(connection: Connection, name: string): void {
    if (connection.groups?.delete(name) !== true) return;
    if (connection.groups.size === 0) connection.groups = undefined;
    leave(this.#project(connection.project), name, connection);
  }

  /** One of this project's; throws `connection_not_found`. */
  find(project: string, id: string): Connection {
    const found = this.#projects.get(project)?.connections.get(id);
    if (found?.isLive === true) return found;
    throw new VirgaError('connection_not_found', `project '${project}' has no connection '${id.slice(0, 64)}' (any more)`);
  }

  list(project: string, group: string | undefined): Iterable<Connection> {
    const served = this.#projects.get(project);
    return (group === undefined ? served?.connections.values() : served?.groups.get(group)) ?? [];
  }

  /** Throws `connection_not_found`, also for one that was too slow. */
  send(project: string, id: string, message: Outgoing): void {
    const connection = this.find(project, id);
    const jobs = this.#projects.get(project)!.jobs;
    if (jobs.length > 0) this.#enqueue(project, { message, to: [connection], at: 0, sent: 0, except: undefined, done: () => {} });
    else if (!connection.send(message)) this.find(project, id);
  }

  /** `group` null: to all of the project. `done` is told how many it was sent to. */
  broadcast(
    project: string,
    group: string | null,
    message: Outgoing,
    options: { except?: string | undefined; done: (sent: number) => void },
  ): void {
    const to = [...this.list(project, group ?? undefined)];
    if (to.length === 0) return options.done(0);
    this.#enqueue(project, { message, to, at: 0, sent: 0, except: options.except, done: options.done });
  }

  /** Connections of a route that is none any more. */
  closeUnserved(): void {
    for (const connection of this.#all) {
      const isServed = connection.served.rules !== undefined && this.versionOf(connection) !== undefined;
      if (!isServed) connection.leave(CloseCode.goingAway, 'no such route any more');
    }
  }

  /** Nobody comes in; each is closed once the event that it is at is over. */
  drain(): void {
    this.#draining = true;
    for (const connection of this.#all) connection.leave(CloseCode.goingAway, 'going away');
  }

  close(): void {
    clearInterval(this.#ticker);
    for (const connection of this.#all) connection.peer?.terminate();
  }

  #project(name: string): Project {
    let project = this.#projects.get(name);
    if (project === undefined) this.#projects.set(name, (project = { connections: new Map(), groups: new Map(), jobs: [] }));
    return project;
  }

  #enqueue(name: string, job: Job): void {
    const project = this.#project(name);
    if (project.jobs.length >= JOBS_MAX) {
      throw new VirgaError(
        'project_overloaded',
        `${JOBS_MAX} messages of project '${name}' to many connections wait already; await the earlier ones`,
      );
    }
    project.jobs.push(job);
    if (project.jobs.length > 1) return;
    this.#sending.push(name);
    if (this.#sending.length === 1) this.#pump();
  }

  /** A slice of one project; then as long for everything else, and the next project's turn. */
  #pump(): void {
    const beginMs = performance.now();
    const name = this.#sending.shift()!;
    const project = this.#project(name);
    let left = SLICE;
    while (left > 0 && project.jobs.length > 0) {
      const job = project.jobs[0]!;
      for (; left > 0 && job.at < job.to.length; left--) {
        const connection = job.to[job.at++]!;
        if (connection.id !== job.except && connection.send(job.message)) job.sent++;
      }
      if (job.at < job.to.length) break;
      project.jobs.shift();
      job.done(job.sent);
    }
    if (project.jobs.length > 0) this.#sending.push(name);
    else if (project.connections.size === 0) this.#projects.delete(name);
    if (this.#sending.length > 0) setTimeout(() => this.#pump(), performance.now() - beginMs).unref();
  }
}

function leave(project: Project, name: string, connection: Connection): void {
  const members = project.groups.get(name);
  if (members === undefined) return;
  members.delete(connection);
  if (members.size === 0) project.groups.delete(name);
}
