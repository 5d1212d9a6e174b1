// Routes that a manifest takes from an OpenAPI document (`gateway.openapi.document`): its operations that name a function of the project.
// Invariants: a route that virga.yaml has itself is not taken; and nothing is taken that would be checked less, or be more open, than
// the document says: that is a problem. Called by manifest.ts.
import { isObject } from '../../lib/json-schema/refs.ts';
import { POLICY_KEYS } from '../../protocol/policies/policy.ts';
import type { Route } from '../../protocol/settings.ts';
import { authName, authOf } from '../openapi/auth-words.ts';
import { operationsOf } from '../openapi/operations.ts';
import type { Operation } from '../openapi/operations.ts';
import { suggestion } from '../suggest.ts';
import type { ManifestDocument, Problem } from './document.ts';
import type { ProjectDocuments } from './project-documents.ts';
import { pathProblem, routeText, shapeOf } from './routes.ts';

const AT = ['gateway', 'openapi', 'document'];
const PROBLEMS_MAX = 20;

interface Source {
  /** What was read from virga.yaml. */
  root: unknown;
  document: ManifestDocument;
  documents: ProjectDocuments;
  /** Those that virga.yaml has itself. */
  written: readonly Pick<Route, 'path' | 'methods'>[];
}

export function documentRoutes({ root, document, documents, written }: Source): { routes: Route[]; problems: Problem[] } {
  const manifest = isObject(root) ? root : {};
  const gateway = isObject(manifest['gateway']) ? manifest['gateway'] : {};
  const file = isObject(gateway['openapi']) ? gateway['openapi']['document'] : undefined;
  if (typeof file !== 'string') return { routes: [], problems: [] };
  const problems: Problem[] = [];
  const problem = (message: string): void => {
    if (problems.length < PROBLEMS_MAX)
      problems.push({ ...document.placeOfValue(AT), message: `${AT.join('.')} is ${JSON.stringify(file)}: ${message}` });
  };
  const path = file.replace(/^\.\//, '');
  const read = documents.read(path);
  if (typeof read === 'string') return (problem(read), { routes: [], problems });
  let found: ReturnType<typeof operationsOf>;
  try {
    found = operationsOf({ file: path, root: read.value }, documents);
  } catch (error) {
    return (problem((error as Error).message), { routes: [], problems });
  }
  const functions = Object.keys(isObject(manifest['functions']) ? manifest['functions'] : {});
  const taken = new Set(written.flatMap(({ path: own, methods }) => (methods ?? ['*']).map((method) => `${method} ${shapeOf(own)}`)));
  const routes: Route[] = [];
  for (const operation of found.operations) {
    const name = functionOf(operation, functions);
    if (name === undefined || taken.has(`${operation.method} ${shapeOf(operation.path)}`)) continue;
    const text = routeText({ path: operation.path, methods: [operation.method] });
    if (!functions.includes(name)) {
      problem(`${text} names the function '${name}', which is not there${suggestion(name, functions)}`);
      continue;
    }
    const wrong = pathProblem(operation.path);
    if (wrong !== undefined) problem(`${text}: ${wrong}`);
    const auth = operation.security === undefined ? undefined : authOf(operation.security);
    const unknown = unknownScheme(operation, gateway['auth']);
    if (unknown !== undefined)
      problem(
        `${text} asks for the security scheme '${unknown}', which this gateway does not know; declare it as gateway.auth.${authName(unknown)}`,
      );
    const policy = { ...operation.policy, ...(auth === undefined ? {} : { auth }) };
    routes.push({
      path: operation.path,
      methods: [operation.method],
      function: name,
      ...(Object.keys(policy).length === 0 ? {} : { policy }),
    });
  }
  const used = new Set(routes.map((route) => `${route.methods![0]} ${route.path}`));
  for (const { at, what, note, grave } of found.notes) {
    const [, operationPath = '', method = ''] = at;
    if (grave === true && used.has(`${method.toUpperCase()} ${operationPath}`)) problem(`#/${at.join('/')}: ${what}: ${note}`);
  }
  return { routes, problems };
}

function functionOf({ function: named, operationId }: Operation, functions: readonly string[]): string | undefined {
  return named ?? (operationId !== undefined && functions.includes(operationId) ? operationId : undefined);
}

/** A scheme of the operation that no authenticator stands for. */
function unknownScheme({ security }: Operation, auth: unknown): string | undefined {
  const names = (POLICY_KEYS as readonly string[]).includes('auth') && isObject(auth) ? Object.keys(auth) : [];
  return (security ?? []).flatMap((one) => Object.keys(one)).find((name) => !names.includes(authName(name)));
}
