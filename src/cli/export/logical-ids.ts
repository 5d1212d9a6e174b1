// Names of resources and parameters in a template: letters and digits, each another. Invariant: the same manifest gives the same
// names, whatever else changes in it later but the order. Used by export-lambda.ts and what it calls.

export class LogicalIds {
  readonly #taken = new Set<string>();

  /** `create-order`, `Function` → `CreateOrderFunction`. */
  of(text: string, end = ''): string {
    const words = text.split(/[^A-Za-z0-9]+/).filter((word) => word !== '');
    const plain = words
      .map((word) => (word === word.toUpperCase() ? word.toLowerCase() : word))
      .map((word) => word[0]!.toUpperCase() + word.slice(1));
    const start = (/^[A-Za-z]/.test(plain[0] ?? '') ? '' : 'X') + plain.join('').slice(0, 200);
    let id = `${start}${end}`;
    for (let number = 2; this.#taken.has(id); number++) id = `${start}${number}${end}`;
    this.#taken.add(id);
    return id;
  }
}
