// What was read from YAML before any check of it. Used by manifest.ts and placed-routes.ts.

/** The value, if it is a mapping; else an empty one. */
export function mapping(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}
