// JSON as base64, for headers. Used by control.ts.

/** Without Buffer: the SDK runs in browsers too. */
export function base64Of(value: unknown): string {
  return btoa(String.fromCharCode(...new TextEncoder().encode(JSON.stringify(value))));
}
