// Which hosts ask their clients for certificates: those of projects whose routes take them. Asking everybody would make browsers
// bother people who have none. Invariant: follows what is deployed; a host that stops asking does so for new connections. Filled by
// auth.ts as routes are compiled, asked by doors/doors.ts for each TLS connection.
import type { ReadModel } from '../../read-model.ts';
import { projectOfHost } from '../../route.ts';

export class AskingHosts {
  readonly #model: ReadModel;
  readonly #projects = new Set<string>();
  /** Of projects that are being compiled. */
  #named = new Set<string>();

  constructor(model: ReadModel) {
    this.#model = model;
  }

  get any(): boolean {
    return this.#projects.size > 0;
  }

  has(host: string): boolean {
    const project = this.#model.projectAt(host) ?? projectOfHost(host);
    return project !== undefined && this.#projects.has(project);
  }

  add(project: string): void {
    this.#named.add(project);
  }

  compiled({ all, anew }: { all: ReadonlySet<string>; anew: ReadonlySet<string> }): void {
    for (const project of this.#projects) if (!all.has(project) || anew.has(project)) this.#projects.delete(project);
    for (const project of this.#named) if (anew.has(project)) this.#projects.add(project);
    this.#named = new Set();
  }
}
