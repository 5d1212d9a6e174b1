// One run for each user: a welcome, and reminders until the address is confirmed. It takes days, in which it holds no instance.
import { queue } from '@virga/sdk';
import type { WorkflowContext } from '@virga/sdk';

const REMINDERS = ['Your tea is getting cold', 'Last call'];

export async function handler({ mail }: { mail: string }, context: WorkflowContext): Promise<{ confirmed: boolean; mails: number }> {
  const pause = process.env['PAUSE'] ?? '3d';
  let mails = 0;
  // The id of the message is the same if the step is run again: the queue then takes it once.
  const send = async (subject: string): Promise<void> => {
    mails++;
    const deduplicationId = `${context.run.id}/${mails}`;
    await context.step(`send ${mails}`, async () => {
      await queue('mails').send({ to: mail, subject }, { deduplicationId });
    });
  };
  await send('Welcome');
  for (const subject of REMINDERS) {
    const confirmed = await context.waitForEvent('confirmed', { timeout: pause });
    if (confirmed !== undefined) {
      await send('Thank you');
      return { confirmed: true, mails };
    }
    await send(subject);
  }
  await context.sleep(pause);
  await send('Goodbye');
  return { confirmed: false, mails };
}
