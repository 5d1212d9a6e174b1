// The secrets that authenticators name, opened in the edge's memory: fed by server/access-feed.ts with every deployment and
// every change of a secret. Invariant: nothing prints or stores them; of a secret that does not open only its name is known.
// Used by jwt/ and webhook/.

export class SecretRing {
  #secrets = new Map<string, Buffer>();
  #generation = 0;

  /** Another number after every change. */
  get generation(): number {
    return this.#generation;
  }

  get(project: string, name: string): Buffer | undefined {
    return this.#secrets.get(`${project}/${name}`);
  }

  replaceAll(secrets: readonly { project: string; name: string; value: Buffer }[]): void {
    const next = new Map(secrets.map(({ project, name, value }) => [`${project}/${name}`, value]));
    const same = next.size === this.#secrets.size && [...next].every(([key, value]) => this.#secrets.get(key)?.equals(value) === true);
    if (same) return;
    this.#secrets = next;
    this.#generation++;
  }
}
