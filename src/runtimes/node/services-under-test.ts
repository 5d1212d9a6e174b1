// A function in the real guest whose requests to its node a test answers. Used by the tests of what functions ask of it.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { rolldown } from 'rolldown';
import { FrameType, encodeJsonFrame } from '../../protocol/frames.ts';
import type { Frame } from '../../protocol/frames.ts';
import { ScriptedHost } from './scripted-host.ts';

export class ServicesUnderTest {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** `code` is a module that exports `handler`. */
  static async open(code: string): Promise<ServicesUnderTest> {
    const folder = await mkdtemp(join(tmpdir(), 'virga-guest-services-'));
    const bundle = await rolldown({ input: join(import.meta.dirname, 'guest.ts'), platform: 'node' });
    await bundle.write({ file: join(folder, 'guest.cjs'), format: 'cjs', codeSplitting: false });
    await bundle.close();
    await writeFile(join(folder, 'handler.mjs'), code);
    return new ServicesUnderTest(folder);
  }

  async start(binary: string): Promise<ScriptedHost> {
    const host = new ScriptedHost(binary, join(this.#folder, 'guest.cjs'));
    await host.init(this.#folder, 'handler.mjs');
    return host;
  }

  async close(): Promise<void> {
    await rm(this.#folder, { recursive: true });
  }
}

export function isRequest({ type }: Frame): boolean {
  return type === FrameType.SERVICE;
}

export function requestOf({ payload }: Frame): { request: Record<string, unknown>; data: string } {
  const end = 4 + payload.readUInt32LE(0);
  return { request: JSON.parse(payload.subarray(4, end).toString()) as Record<string, unknown>, data: payload.subarray(end).toString() };
}

/** Calls the function with `event`, answers the one request that it makes; what that was, and what the function answered. */
export async function asked(host: ScriptedHost, event: object, answer: object) {
  host.frames.length = 0;
  const invocation = host.event(event);
  const frame = await host.frame(isRequest);
  const { request, data } = requestOf(frame);
  host.write(encodeJsonFrame(FrameType.SERVED, answer, { arg: frame.arg }));
  const { body } = await invocation.ended;
  return { request, data, result: JSON.parse(body.toString()) as unknown };
}
