// `streams` of virga.yaml: ordered logs that are kept, and read from any position.
import { z } from 'zod';
import { byteSize, duration, wholeNumber } from '../policies/words.ts';

export const stream = z
  .strictObject(
    {
      partitions: wholeNumber({ min: 1, max: 256 })
        .optional()
        .describe('Parts that are read beside each other; records of one key are in one part. May grow, never shrink. Without it 4.'),
      retention: duration({ min: 60_000, max: 3_650 * 86_400_000 })
        .optional()
        .describe('How long records are kept. Without it 7d.'),
      maxBytes: byteSize({ min: 1_024 ** 2, max: 16 * 1_024 ** 4 })
        .optional()
        .describe('What they may take together; beyond it the oldest make room. Without it 10 GiB.'),
    },
    { error: 'rules such as {partitions: 4, retention: 7d}, or {}' },
  )
  .describe('A stream.');
export type StreamRules = z.infer<typeof stream>;
