// One blank: a sandbox whose runtime has booted and that holds no version yet.
//
//   booting ──HELLO──▶ ready ──take()──▶ (an instance's, blanks.ts has forgotten it)
//      └──end, time-out──▶ gone ◀──end──┘
//
// Invariant: from HELLO until it is taken nothing is read from its channel, so that the taker gets every byte.
// Made and owned by blanks.ts.
import { FrameReader, FrameType } from '../protocol/frames.ts';
import type { Sandbox } from '../sandbox/sandbox.ts';

export class Blank {
  readonly sandbox: Sandbox;
  /** performance.now() of its HELLO; undefined while it boots. */
  readyAt: number | undefined;

  private constructor(sandbox: Sandbox) {
    this.sandbox = sandbox;
  }

  /** Resolves when it is ready. Rejects with why it will not be; its sandbox has then been killed. */
  static async of(sandbox: Sandbox, options: { bootTimeoutMs: number }): Promise<Blank> {
    const blank = new Blank(sandbox);
    try {
      await blank.#hello(options.bootTimeoutMs);
      return blank;
    } catch (error) {
      void sandbox.kill();
      throw error;
    }
  }

  async #hello(timeoutMs: number): Promise<void> {
    const { channel, exited } = this.sandbox;
    const hello = Promise.withResolvers<void>();
    const reader = new FrameReader((frame) => {
      if (frame.type === FrameType.HELLO) hello.resolve();
      else hello.reject(new Error(`it began with a frame of type ${frame.type}`));
    });
    const onData = (chunk: Buffer): void => {
      try {
        reader.push(chunk);
      } catch (error) {
        hello.reject(error);
      }
    };
    const late = setTimeout(() => hello.reject(new Error(`it did not boot within ${timeoutMs} ms`)), timeoutMs);
    void exited.then((exit) =>
      hello.reject(new Error(`it ended with ${exit.signal ?? exit.code ?? 'nothing'}: ${exit.stderrTail.trim()}`)),
    );
    channel.on('error', () => {});
    channel.on('data', onData);
    try {
      await hello.promise;
    } finally {
      clearTimeout(late);
      channel.off('data', onData);
      channel.pause();
    }
    this.readyAt = performance.now();
  }
}
