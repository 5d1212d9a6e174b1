// What the command line says of an import. Used by the readers of all formats.

export interface ImportOptions {
  /** The stage, or environment, whose settings count. */
  stage: string | undefined;
  /** `--param NAME=VALUE`. */
  parameters: ReadonlyMap<string, string>;
  /** Where virga.yaml will be; undefined: beside what is imported. */
  output: string | undefined;
  /** Of an OpenAPI document: a function for each tag, or for each operation. */
  functionsBy?: 'tag' | 'operation';
  /** Make sources of functions that have none, which answer 501. */
  scaffold?: boolean;
}
