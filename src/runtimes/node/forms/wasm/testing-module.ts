// For tests: the bytes of a small WebAssembly module whose functions do nothing. Used by tests of this folder and of the CLI's build.

export interface ModuleShape {
  /** `module.name`, functions without parameters. */
  imports: string[];
  /** Names of functions. */
  exports: string[];
  memory?: boolean;
}

export function moduleBytes({ imports, exports, memory = true }: ModuleShape): Uint8Array {
  const text = (value: string): number[] => [value.length, ...Buffer.from(value)];
  const section = (id: number, items: number[][]): number[] => {
    const body = [...length(items.length), ...items.flat()];
    return [id, ...length(body.length), ...body];
  };
  const names = imports.map((name): [string, string] => [name.slice(0, name.lastIndexOf('.')), name.slice(name.lastIndexOf('.') + 1)]);
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    // One type: no parameters, no results.
    ...section(1, [[0x60, 0, 0]]),
    ...section(
      2,
      names.map(([from, name]) => [...text(from), ...text(name), 0, 0]),
    ),
    ...section(3, [[0]]),
    ...section(5, [[0, 1]]),
    ...section(7, [
      ...exports.map((name) => [...text(name), 0, ...length(imports.length)]),
      ...(memory ? [[...text('memory'), 2, 0]] : []),
    ]),
    // One function: no locals, end.
    ...section(10, [[2, 0, 0x0b]]),
  ]);
}

/** LEB128, of less than 16384. */
function length(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, value >> 7];
}
