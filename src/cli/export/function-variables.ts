// Environment variables of a function in a template. Invariants: a value that may be secret is never written: it becomes a parameter
// that shows itself nowhere (NoEcho) and has no default; names that AWS keeps for itself are left out. Used by export-lambda.ts.
import type { ManifestFunction } from '../manifest/manifest.ts';
import { isSecretName, isSecretValue } from '../import/secrets.ts';
import type { FunctionReport } from './export-report.ts';
import type { LogicalIds } from './logical-ids.ts';

/** Names and values of all variables together, at AWS. */
const BYTES_MAX = 4_096;
const NAME = /^[A-Za-z][A-Za-z0-9_]+$/;
/** https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html */
const RESERVED =
  /^(?:_HANDLER|_X_AMZN_TRACE_ID|AWS_(?:DEFAULT_REGION|REGION|EXECUTION_ENV|ACCESS_KEY|ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN)|AWS_LAMBDA_(?:FUNCTION_NAME|FUNCTION_MEMORY_SIZE|FUNCTION_VERSION|INITIALIZATION_TYPE|LOG_GROUP_NAME|LOG_STREAM_NAME|RUNTIME_API)|LAMBDA_(?:TASK_ROOT|RUNTIME_DIR))$/;

export interface Parameter {
  id: string;
  description: string;
}

/** Secrets of the project; functions that have the same one share its parameter. */
export class SecretParameters {
  readonly parameters: Parameter[] = [];
  readonly #known = new Map<string, string>();
  readonly #ids: LogicalIds;

  constructor(ids: LogicalIds) {
    this.#ids = ids;
  }

  of(variable: string, value: string, fn: string): string {
    const key = JSON.stringify([variable, value]);
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const id = this.#ids.of(variable);
    this.#known.set(key, id);
    this.parameters.push({ id, description: `The variable ${variable} of the function ${fn}` });
    return id;
  }
}

export function variablesOf(
  fn: ManifestFunction,
  added: Readonly<Record<string, string>>,
  { secrets, report }: { secrets: SecretParameters; report: FunctionReport },
): Record<string, unknown> {
  const variables: Record<string, unknown> = {};
  let bytes = 0;
  for (const [name, value] of Object.entries(fn.settings.env)) {
    const key = `env.${name}`;
    const what = `variable ${name}`;
    if (RESERVED.test(name)) report.left(key, what, 'AWS sets it itself; where the code calls AWS, give the function a role (Policies)');
    else if (!NAME.test(name)) report.left(key, what, 'at AWS a name begins with a letter and has at least two characters; rename it');
    else if (name in added) report.left(key, what, 'the export sets it, to start the program');
    else if (value !== '' && (isSecretName(name) || isSecretValue(value))) {
      const id = secrets.of(name, value, fn.name);
      variables[name] = { Ref: id };
      report.changed(key, what, `may be secret and is not copied: give it when you deploy, as the parameter ${id}`);
      bytes += name.length + Buffer.byteLength(value);
    } else {
      variables[name] = value;
      report.carried(key, what);
      bytes += name.length + Buffer.byteLength(value);
    }
  }
  Object.assign(variables, added);
  if (bytes > BYTES_MAX)
    report.left(
      'env',
      `env of ${bytes} bytes`,
      `AWS takes ${BYTES_MAX} and refuses the template; put some of it into a file (\`include\`)`,
    );
  return variables;
}
