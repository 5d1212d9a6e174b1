// `validate.body` as it is meant, whichever of its two forms it is written in. Used by policies/validate.ts (its check), the edge and
// the OpenAPI document of a project. Pure; the edge loads it, so it knows no zod.

export interface BodyRules {
  /** undefined: only the type is checked. */
  schema: unknown;
  /** In lower case; `image/*` and `*`-with-suffix (`application/*+json`) stand for many. */
  contentTypes: string[];
  required: boolean;
}

const JSON_TYPES = ['application/json', 'application/*+json'];

/** `{schema, contentTypes, required}`: none of these is a keyword of JSON Schema but `required`, which is a list there. */
export function isLongBody(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  return 'schema' in value || 'contentTypes' in value || typeof (value as Record<string, unknown>)['required'] === 'boolean';
}

/** Of a body that was checked. */
export function bodyRules(body: unknown): BodyRules {
  if (!isLongBody(body)) return { schema: body, contentTypes: JSON_TYPES, required: true };
  const { schema, contentTypes, required } = body as { schema?: unknown; contentTypes?: string[]; required?: boolean };
  const types = contentTypes?.map((type) => type.toLowerCase());
  return { schema, contentTypes: types ?? (schema === undefined ? ['*/*'] : JSON_TYPES), required: required ?? schema !== undefined };
}

/** `application/json`, `application/problem+json`. */
export function isJsonType(type: string): boolean {
  return /^[^/]+\/(?:json|[^/]*\+json)$/.test(type);
}
