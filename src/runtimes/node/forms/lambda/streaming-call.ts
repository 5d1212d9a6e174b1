// One call of a handler that was given to awslambda.streamifyResponse(): it writes its answer to a stream, and the invocation
// is over once the promise that it returned has settled and the stream has ended. Invariant: an error before the first chunk is
// an answer of its own; a later one ends the answer so that the client sees that it is not complete, or is in the log. Called by lambda.ts.
import { describe } from '../../failure.ts';
import type { Invocation } from '../../invocation.ts';
import { lambdaContext } from './context.ts';
import type { LambdaContext } from './context.ts';
import { isThenable } from './handler-call.ts';
import type { CallHost } from './handler-call.ts';
import { ResponseStream } from './response-stream.ts';

export type StreamingHandler = (event: unknown, responseStream: ResponseStream, context: LambdaContext) => unknown;

export async function callStreaming(
  host: CallHost,
  invocation: Invocation,
  { handler, event, highWaterMark }: { handler: StreamingHandler; event: unknown; highWaterMark: number | undefined },
): Promise<void> {
  const { meta, answer } = invocation;
  const { loop, log, identity } = host;
  const headOnly = meta.kind === 'http' && meta.method === 'HEAD';
  const stream = new ResponseStream({ answer, loop, headOnly, highWaterMark });
  const watcher = { watchedAt: 0, onLoopEmpty: (): void => {} };
  try {
    const returned = handler(event, stream, lambdaContext(identity, invocation));
    if (!isThenable(returned)) throw new Error('Streaming does not support non-async handlers.');
    const empty = new Promise<never>((_, reject) => {
      watcher.onLoopEmpty = () => reject(new Error('Response stream is not finished.'));
      if (loop.decides) loop.watch(watcher);
    });
    const result = await Promise.race([returned, empty]);
    if (result !== undefined) log.write(invocation.stream, 'warn', 'Streaming handlers ignore return values.');
    await Promise.race([stream.done, empty]);
  } catch (error) {
    // Its answer is complete: all that is left of the error is the log.
    if (answer.ended) log.write(invocation.stream, 'error', describe(error));
    throw error;
  } finally {
    loop.leave(watcher);
    answer.onCancel = undefined;
    stream.destroy();
  }
}
