// What the gateway knows of the projects, in memory: the hot path never asks a database. Fed by server/read-model-feed.ts
// from the records; read by route.ts and by the edge's private server.
// Invariant: a project is swapped whole, so a request sees one deployment, never a mixture of two.
import type { DeployedVersion } from '../functions/version.ts';
import type { RouteTable } from './route-table.ts';

export interface ServedProject {
  name: string;
  deployment: number;
  functions: Map<string, DeployedVersion>;
  routes: RouteTable;
}

export class ReadModel {
  readonly #projects = new Map<string, ServedProject>();
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

  projects(): Iterable<ServedProject> {
    return this.#projects.values();
  }

  /** Replaces everything by what the records say. */
  replaceAll(projects: ServedProject[], deployment: number): void {
    this.#projects.clear();
    for (const project of projects) this.#projects.set(project.name, project);
    this.#deployment = deployment;
  }
}
