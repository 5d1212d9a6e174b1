// The origins that a rule names (`origins` of cors and of websocket), against what browsers say in Origin.
// Invariant: `*.` stands for one name or more below, never for none. Compiled once per deployment.

export class OriginList {
  /** "*" is among them. */
  readonly any: boolean;
  readonly #exact: Set<string>;
  /** Scheme and the part behind `*.` of those with one. */
  readonly #below: { scheme: string; suffix: string }[];

  constructor(origins: readonly string[]) {
    this.any = origins.includes('*');
    this.#exact = new Set(origins.filter((origin) => !origin.includes('*')).map(withoutUsualPort));
    this.#below = origins
      .filter((origin) => origin.includes('://*.'))
      .map((origin) => {
        const [scheme, suffix] = withoutUsualPort(origin).split('*') as [string, string];
        return { scheme, suffix };
      });
  }

  has(origin: string): boolean {
    if (this.any || this.#exact.has(origin)) return true;
    return this.#below.some(
      ({ scheme, suffix }) => origin.startsWith(scheme) && origin.endsWith(suffix) && origin.length > scheme.length + suffix.length,
    );
  }
}

/** Browsers leave the usual port out. */
function withoutUsualPort(origin: string): string {
  return origin.replace(/^(https:.*):443$/, '$1').replace(/^(http:.*):80$/, '$1');
}
