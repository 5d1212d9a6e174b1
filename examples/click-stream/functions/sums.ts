// Clicks of each page within one window: the state that goes from call to call.
import type { StreamBatch } from '@virga/sdk';

export type Sums = Record<string, number>;

export function sumsOf({ records, state }: StreamBatch): Sums {
  const sums: Sums = { ...(state as Sums | undefined) };
  for (const { key: page } of records) sums[page] = (sums[page] ?? 0) + 1;
  return sums;
}
