// What a function is at AWS Lambda, and the runtimes that AWS has. Invariant: only what AWS documents is ever named in a template.
// Used by function-code.ts and web-program.ts.
import type { ArtifactEntry } from '../build/archive.ts';
import type { FunctionReport } from './export-report.ts';

export interface LambdaCode {
  runtime: string;
  handler: string;
  entries: ArtifactEntry[];
  /** Variables that the export adds. */
  variables: Record<string, string>;
  /** What `virga import` needs to know to get back what this was. */
  original: { runtime: string; form: string; handler: string | undefined };
  /** It needs the layer of the AWS Lambda Web Adapter. */
  webAdapter: boolean;
  /** Its handler is one of awslambda.streamifyResponse. */
  streams: boolean;
}

/** https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html, read in November 2026. */
export const NODE_RUNTIME = 'nodejs24.x';
const PYTHON_MINOR = { default: 13, min: 10, max: 14 };
export const PROGRAM_RUNTIME = 'provided.al2023';
/** Compiled packages are for one Python: the one that they were installed for. */
export function pythonRuntime(entries: readonly ArtifactEntry[], report: FunctionReport): string {
  const compiled = entries.map(({ path }) => /\.cpython-3(\d+)-[^/]*\.so$/.exec(path)?.[1]).find((minor) => minor !== undefined);
  const wanted = Number(compiled ?? PYTHON_MINOR.default);
  const runtime = `python3.${wanted}`;
  if (wanted < PYTHON_MINOR.min || wanted > PYTHON_MINOR.max)
    report.left(
      'runtime',
      `packages for Python 3.${wanted}`,
      `AWS has Python 3.${PYTHON_MINOR.min} to 3.${PYTHON_MINOR.max}; build on a machine that has one of these`,
    );
  return runtime;
}
