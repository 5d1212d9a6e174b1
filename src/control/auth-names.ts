// Whether the names in `auth` of a deploy request, and of the secrets of webhooks, are there: authenticators and functions in the request, secrets in the records.
// Invariant: all problems come back together, each with its path and, where there is one, the name that was meant.
// Called by deploy-project.ts, and by remove-secret.ts for what a secret is used by.
import { authenticatorNames, referenceProblem, referencesOfAuth, referencesOfGateway } from '../protocol/policies/auth-references.ts';
import type { AuthReference } from '../protocol/policies/auth-references.ts';
import type { GatewaySection } from '../protocol/policies/policy.ts';
import type { EventsSection } from '../protocol/sources/sources.ts';
import type { Route } from '../protocol/settings.ts';
import type { Problem } from './problems.ts';

interface State {
  routes: readonly Route[];
  functions: Record<string, unknown>;
  gateway?: GatewaySection | undefined;
  events?: EventsSection | undefined;
}

export function authReferences({ routes, gateway, events }: Omit<State, 'functions'>): AuthReference[] {
  return [
    ...referencesOfGateway(gateway, ['gateway']),
    ...webhookSecrets(events),
    ...routes.flatMap(({ policy }, index) => referencesOfAuth(policy?.auth, ['routes', index, 'policy', 'auth'])),
  ];
}

function webhookSecrets({ topics = {} }: EventsSection = {}): AuthReference[] {
  return Object.entries(topics).flatMap(([topic, { subscriptions = [] }]) =>
    subscriptions.flatMap(({ secret = [] }, index) => {
      const path = ['events', 'topics', topic, 'subscriptions', index, 'secret'];
      return typeof secret === 'string'
        ? [{ kind: 'secret', name: secret, path }]
        : secret.map((name, i) => ({ kind: 'secret' as const, name, path: [...path, i] }));
    }),
  );
}

/** `secrets`: names of those that the project has. */
export function authProblems(state: State, secrets: readonly string[]): Problem[] {
  const known = { authenticator: authenticatorNames(state.gateway), function: Object.keys(state.functions), secret: secrets };
  return authReferences(state).flatMap((reference) => {
    const message = referenceProblem(reference, known);
    return message === undefined
      ? []
      : [{ path: reference.path.join('.'), message: `names what is not there: ${message}`, value: reference.name }];
  });
}
