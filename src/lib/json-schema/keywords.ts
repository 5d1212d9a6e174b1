// The keywords of JSON Schema 2020-12 and what may stand behind each. Used by check.ts; compile.ts gives them their meaning.

/** A schema; schemas by name; a list of schemas. */
export const SCHEMA_KEYS = [
  'additionalProperties',
  'items',
  'contains',
  'propertyNames',
  'unevaluatedProperties',
  'unevaluatedItems',
  'not',
  'if',
  'then',
  'else',
  'contentSchema',
];
export const SCHEMA_MAP_KEYS = ['properties', 'patternProperties', '$defs', 'definitions', 'dependentSchemas'];
export const SCHEMA_LIST_KEYS = ['allOf', 'anyOf', 'oneOf', 'prefixItems'];
/** Of these the schemas are about the same value: a reference that leads back through them alone never ends. */
export const IN_PLACE_KEYS = ['allOf', 'anyOf', 'oneOf', 'not', 'if', 'then', 'else', 'dependentSchemas'];

export const COUNT_KEYS = [
  'maxLength',
  'minLength',
  'maxItems',
  'minItems',
  'maxProperties',
  'minProperties',
  'maxContains',
  'minContains',
];
export const NUMBER_KEYS = ['maximum', 'minimum', 'exclusiveMaximum', 'exclusiveMinimum'];
export const TEXT_KEYS = ['$comment', 'title', 'description', 'format', 'contentEncoding', 'contentMediaType', '$schema', '$id'];
export const BOOLEAN_KEYS = ['uniqueItems', 'deprecated', 'readOnly', 'writeOnly'];
/** Any value, which is not read as a schema. */
export const VALUE_KEYS = ['default', 'const', 'example', 'examples', 'discriminator', 'xml', 'externalDocs'];
const OTHER_KEYS = ['type', 'enum', 'required', 'dependentRequired', 'pattern', 'multipleOf', '$ref', '$anchor'];

export const TYPES = ['string', 'number', 'integer', 'boolean', 'object', 'array', 'null'];

export const KEYWORDS = [
  ...SCHEMA_KEYS,
  ...SCHEMA_MAP_KEYS,
  ...SCHEMA_LIST_KEYS,
  ...COUNT_KEYS,
  ...NUMBER_KEYS,
  ...TEXT_KEYS,
  ...BOOLEAN_KEYS,
  ...VALUE_KEYS,
  ...OTHER_KEYS,
];

/** Of other dialects, with what is said instead. */
export const REMEDIES: Record<string, string> = {
  nullable: 'it is of OpenAPI 3.0; in JSON Schema 2020-12 null is a type: type: [string, "null"]',
  dependencies: 'it is of draft 7; use dependentRequired or dependentSchemas',
  additionalItems: 'it is of draft 2019-09; use prefixItems and items',
  $recursiveRef: 'it is of draft 2019-09; use $ref',
  $recursiveAnchor: 'it is of draft 2019-09; use $ref',
  id: 'it is of draft 4; use $id, or leave it out',
  $dynamicRef: 'references that are resolved at run time are not supported; use $ref',
  $dynamicAnchor: 'references that are resolved at run time are not supported; use $anchor',
  $vocabulary: 'vocabularies of your own are not supported',
};
