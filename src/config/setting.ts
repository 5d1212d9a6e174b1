// What a setting of a node is, and the parsers that several of them share. Used by settings-table.ts and those beside it.

/** What defaults depend on. */
export interface Machine {
  cores: number;
  memoryMiB: number;
  /** The current folder, absolute. */
  folder: string;
}

export type Parsed<T> = { value: T } | { problem: string };

export interface Setting<T> {
  variable: string;
  /** Of `virga start`, without the dashes. */
  flag?: string;
  /** Name of the flag's value in the help. */
  placeholder?: string;
  meaning: string;
  default(machine: Machine): T;
  /** For the reference, where the default depends on the machine. */
  defaultText?: string;
  /** `problem` says what a value has to be, for the end of "VIRGA_X is '…': ". */
  parse(text: string, machine: Machine): Parsed<T>;
  /** The value is a secret, or holds one. */
  secret?: true;
}

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;

export function port(text: string): Parsed<number> {
  return wholeNumber(text, { min: 1, max: 65_535, what: 'a port, a whole number' });
}

export function wholeNumber(text: string, { min, max, what }: { min: number; max: number; what: string }): Parsed<number> {
  const value = Number(text);
  return /^\d{1,16}$/.test(text) && value >= min && value <= max ? { value } : { problem: `give ${what} from ${min} to ${max}` };
}

export function oneOf<T extends string>(...words: T[]): (text: string) => Parsed<T> {
  return (text) => {
    const value = words.find((word) => word === text);
    return value === undefined ? { problem: `give one of ${words.join(', ')}` } : { value };
  };
}

export function onOff(text: string): Parsed<boolean> {
  return text === 'true' || text === 'false' ? { value: text === 'true' } : { problem: 'give true or false' };
}

export function limit(name: string, value: number, range: { unit: string; min: number; max: number }, meaning: string): Setting<number> {
  const { unit, min, max } = range;
  return {
    variable: `VIRGA_LIMIT_${name}`,
    meaning,
    default: () => value,
    defaultText: unit === 'bytes' ? `${value} (${quantity(value)})` : `${value} ${unit}`,
    parse: (text) => wholeNumber(text, { min, max, what: `a whole number of ${unit}` }),
  };
}

function quantity(bytes: number): string {
  return bytes >= GIB ? `${bytes / GIB} GiB` : bytes >= MIB ? `${bytes / MIB} MiB` : `${bytes / KIB} KiB`;
}
