// DynamoDB's way of writing values, for table changes (docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_AttributeValue.html),
// and how many bytes they have by its rules. A row of a table is JSON, so binary values and sets do not occur. Invariant: every
// JSON value has one encoding. Called by cloud-events.ts.

export type AttributeValue =
  | { S: string }
  | { N: string }
  | { BOOL: boolean }
  | { NULL: true }
  | { L: AttributeValue[] }
  | { M: Record<string, AttributeValue> };

type Item = Record<string, unknown>;

export function attributeValues(item: Item): Record<string, AttributeValue> {
  return Object.fromEntries(Object.entries(item).flatMap(([name, value]) => (value === undefined ? [] : [[name, attributeValue(value)]])));
}

function attributeValue(value: unknown): AttributeValue {
  if (value === null || value === undefined) return { NULL: true };
  switch (typeof value) {
    case 'string':
      return { S: value };
    case 'number':
      return { N: String(value) };
    case 'boolean':
      return { BOOL: value };
    default:
      return Array.isArray(value) ? { L: value.map(attributeValue) } : { M: attributeValues(value as Item) };
  }
}

/** Names and values, as DynamoDB counts them (docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html). */
export function sizeBytes(item: Item | undefined): number {
  let bytes = 0;
  for (const [name, value] of Object.entries(item ?? {})) if (value !== undefined) bytes += Buffer.byteLength(name) + valueBytes(value);
  return bytes;
}

function valueBytes(value: unknown): number {
  if (typeof value === 'string') return Buffer.byteLength(value);
  if (typeof value === 'number') {
    const digits = String(Math.abs(value))
      .replace(/e.*$/, '')
      .replace('.', '')
      .replace(/^0+|0+$/g, '').length;
    return 1 + Math.ceil(digits / 2) + (value < 0 ? 1 : 0);
  }
  if (typeof value !== 'object' || value === null) return 1;
  // Three bytes for the list or map itself, one for each of its values.
  if (Array.isArray(value)) return value.reduce<number>((bytes, one) => bytes + 1 + valueBytes(one), 3);
  return 3 + Object.keys(value).length + sizeBytes(value as Item);
}
