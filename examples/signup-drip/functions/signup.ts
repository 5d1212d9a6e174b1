// The door: a sign-up starts a run, a confirmation is an event to it. The id of the user is that of the run, so that a form which is sent twice
// starts one.
import type { Context } from '@virga/sdk';

export default {
  async fetch(request: Request, { params, startWorkflow, sendToWorkflow }: Context): Promise<Response> {
    const given = (await request.json().catch(() => ({}))) as { user?: string; mail?: string };
    if (params['user'] !== undefined) {
      await sendToWorkflow('drip', params['user'], 'confirmed', { by: 'link' }, { id: 'confirmed' });
      return Response.json({ user: params['user'] }, { status: 202 });
    }
    if (given.user === undefined || given.mail === undefined)
      return Response.json({ problem: 'user and mail are needed' }, { status: 400 });
    const { id, started } = await startWorkflow('drip', { mail: given.mail }, { id: given.user });
    return Response.json({ user: id, started }, { status: 202 });
  },
};
