// What a route may lead to beside a function: one key each, answered at the gateway itself. A target is a file of this folder
// (its schema) and a folder of gateway/ that compiles it (gateway/targets.ts).
import { z } from 'zod';
import { eventTarget, publishExamples, queueTarget, topicTarget } from './publish-targets.ts';
import { redirect, redirectExample } from './redirect.ts';
import { staticExample, staticFiles } from './static.ts';

export const targetShape = {
  redirect: redirect.optional(),
  static: staticFiles.optional(),
  queue: queueTarget.optional(),
  topic: topicTarget.optional(),
  event: eventTarget.optional(),
};

const targets = z.strictObject(targetShape);
export type LocalTargets = z.infer<typeof targets>;
export const TARGET_KEYS = Object.keys(targetShape) as (keyof LocalTargets)[];

/** For the reference: what each looks like, in Markdown. */
export const TARGET_EXAMPLES: Record<keyof LocalTargets, string> = {
  redirect: redirectExample,
  static: staticExample,
  ...publishExamples,
};

/** What is asked of a route: exactly one of them, or a function. */
export const TARGET_RULE = `one target: ${TARGET_KEYS.join(' or ')}`;
