// What the gateway knows of the projects, in memory: the hot path never asks a database. Fed by server/read-model-feed.ts
// from the records; read by route.ts and by the edge's private server.
// Invariant: a project is swapped whole, so a request sees one deployment, never a mixture of two.
import type { Topology } from '../events/topology.ts';
import type { DeployedVersion } from '../functions/version.ts';
import { parentOf } from './host-name.ts';
import type { RouteTable } from './route-table.ts';

export interface ServedProject {
  name: string;
  deployment: number;
  /** The one that gets the requests of each, or most of them. */
  functions: Map<string, DeployedVersion>;
  /** Of functions that have one: what is tried on a share of the calls. */
  canaries: Map<string, { version: DeployedVersion; percent: number }>;
  /** All that may be called by routes. */
  versions: DeployedVersion[];
  routes: RouteTable;
  /** Its queues, topics, streams, and what they trigger. */
  topology: Topology;
}

export class ReadModel {
  readonly #projects = new Map<string, ServedProject>();
  /** Name of a host, or of what stands behind its `*.`, to the project that is served there. */
  #hosts = new Map<string, string>();
  #wildcards = new Map<string, string>();
  #deployment = 0;

  /** Highest deployment id that is held. */
  get deployment(): number {
    return this.#deployment;
  }

  get size(): number {
    return this.#projects.size;
  }

  project(name: string): ServedProject | undefined {
    return this.#projects.get(name);
  }

  get servesDomains(): boolean {
    return this.#hosts.size + this.#wildcards.size > 0;
  }

  /** The project that is served at this name of a host, in lower case, as one of its domains. */
  projectAt(host: string): string | undefined {
    return this.#hosts.get(host) ?? this.#wildcards.get(parentOf(host));
  }

  projects(): Iterable<ServedProject> {
    return this.#projects.values();
  }

  /** Replaces everything by what the records say. */
  replaceAll({
    projects,
    domains = {},
    deployment,
  }: {
    projects: ServedProject[];
    domains?: Record<string, string>;
    deployment: number;
  }): void {
    const all = Object.entries(domains);
    this.#hosts = new Map(all.filter(([name]) => !name.startsWith('*.')));
    this.#wildcards = new Map(all.filter(([name]) => name.startsWith('*.')).map(([name, project]) => [name.slice(2), project]));
    this.#projects.clear();
    for (const project of projects) this.#projects.set(project.name, project);
    this.#deployment = deployment;
  }
}
