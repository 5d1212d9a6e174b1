// One call in a blank that waits: through the very API that will serve, with a client of our own in the place of a program, and
// with what comes before a program is started, so that neither the network's modules nor the code of this folder are new to the
// first call. Invariant: it closes what it opens, whatever becomes of the blank meanwhile. Called by provided.ts.
import { connect } from 'node:net';
import type { InitPayload } from '../../../../protocol/frames.ts';
import type { Invocation } from '../../invocation.ts';
import { lambdaIdentity } from '../lambda/environment.ts';
import { startProblem } from '../program/startable.ts';
import { Assignments } from './assignments.ts';
import { assignmentOf, programEnvironment } from './lambda-shapes.ts';
import { RuntimeApi } from './runtime-api.ts';

const INVOCATION = '/2018-06-01/runtime/invocation/';
const ANSWER = '{"statusCode":200,"headers":{"content-type":"text/plain"},"body":"hello"}';
const ID = /request-id: (\S+)/i;

export async function rehearseCall(init: InitPayload, invocation: Invocation): Promise<void> {
  const assignments = new Assignments(1);
  const nobody = (): void => {};
  const api = await RuntimeApi.listen({
    assignments,
    httpEvent: undefined,
    begun: nobody,
    initFailed: nobody,
    answered: nobody,
    unknown: nobody,
    port: 0,
  });
  const identity = lambdaIdentity(init);
  programEnvironment(init, identity, api.address);
  startProblem(process.execPath, 'node', '');
  const [host = '', port] = api.address.split(':');
  const client = connect({ host, port: Number(port) });
  const ended = new Promise((resolve) => client.once('close', resolve));
  client.on('error', nobody);
  client.on('data', (chunk: Buffer) => {
    const id = ID.exec(chunk.toString('latin1'))?.[1];
    if (id === undefined) client.destroy();
    else client.write(`POST ${INVOCATION}${id}/response HTTP/1.1\r\nContent-Length: ${ANSWER.length}\r\n\r\n${ANSWER}`);
  });
  client.write(`GET ${INVOCATION}next HTTP/1.1\r\nHost: ${api.address}\r\n\r\n`);
  void assignments.give(await assignmentOf(invocation, identity, undefined));
  await ended;
  api.close();
}
