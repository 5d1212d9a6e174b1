// `filter` of a trigger or a subscription: which events it is for, as patterns in the way of Amazon EventBridge.
import { z } from 'zod';

export const filter = z
  .record(z.string(), z.unknown(), { error: 'a pattern such as {type: [order.placed]}' })
  .describe('Which of the events it is for: a pattern, as in [events.md](events.md#filters). Without it all.');
export type FilterPattern = z.infer<typeof filter>;
