// What the parts that read an OpenAPI document share: where they are, and what they note. Used by operations.ts, parameters.ts and
// bodies.ts, and by who tells of the notes.
import type { Base } from '../manifest/schema-references.ts';

/** Keys from the top of the document. */
export type DocumentPath = string[];

export interface Note {
  fate: 'carried' | 'changed' | 'left';
  at: DocumentPath;
  what: string;
  note: string;
  /** Something would be checked less than the document says. */
  grave?: true;
}

/** What the parts of a reader share. */
export interface Reading {
  notes: Note[];
  /** Follows a `$ref` of anything that is no schema. */
  resolved(value: unknown, base: Base): { value: unknown; base: Base };
  /** The schema with all that it refers to; undefined: it cannot be checked, which is noted. */
  schema(schema: unknown, base: Base, at: DocumentPath): unknown;
}
