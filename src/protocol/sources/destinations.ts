// Where an outcome goes: one queue, topic or function of the project.
import { z } from 'zod';
import { declaredName } from '../policies/words.ts';

const error = 'a place such as {queue: done}, {topic: results} or {function: report}';
export const destination = z
  .strictObject({ queue: declaredName.optional(), topic: declaredName.optional(), function: declaredName.optional() }, { error })
  .superRefine((value, context) => {
    if (Object.values(value).filter((one) => one !== undefined).length !== 1)
      context.addIssue({ code: 'custom', message: 'give it one of queue, topic and function', params: { rule: true } });
  });
export type Destination = z.infer<typeof destination>;
