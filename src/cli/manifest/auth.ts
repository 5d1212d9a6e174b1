// The names in `auth` of a manifest: authenticators and functions that are not there, each with its place and what was meant.
// Which secrets there are the server alone knows; it checks those (control/auth-names.ts). Used by manifest.ts.
import { authenticatorNames, referenceProblem, referencesOfAuth, referencesOfGateway } from '../../protocol/policies/auth-references.ts';
import type { RoutePolicy } from '../../protocol/policies/policy.ts';
import type { ManifestDocument, Path, Problem } from './document.ts';
import { pathText } from './problems.ts';

/** `path` of a route is that of its path in the manifest. */
export function authProblems(
  routes: readonly { path: Path; route: { policy?: RoutePolicy | undefined } }[],
  { gateway, functions }: { gateway: unknown; functions: string[] },
  document: ManifestDocument,
): Problem[] {
  const known = { authenticator: authenticatorNames(gateway), function: functions, secret: undefined };
  const references = [
    ...referencesOfGateway(gateway, ['gateway']),
    ...routes.flatMap(({ path, route }) => referencesOfAuth(route.policy?.auth, [...path.slice(0, -1), 'auth'])),
  ];
  return references.flatMap((reference) => {
    const wrong = referenceProblem(reference, known);
    if (wrong === undefined) return [];
    const message = `${pathText(reference.path)} is ${JSON.stringify(reference.name)}: ${wrong}`;
    return [{ ...document.placeOfValue(reference.path), message }];
  });
}
