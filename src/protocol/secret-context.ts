// What a secret is sealed for (store/sealing.ts), so that its sealed value opens under its own name alone. The control role seals,
// the edge opens (server/access-feed.ts).

export function secretContext(project: string, name: string): string {
  return `secret:${project}/${name}`;
}
