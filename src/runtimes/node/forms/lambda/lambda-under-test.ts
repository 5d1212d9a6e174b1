// Lambda functions in the real guest with its chunks, as the engine boots it. Invariant: what was started ends with the test
// that disposes of it. Used by the tests of this folder.
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { rolldown } from 'rolldown';
import type { InitPayload } from '../../../../protocol/frames.ts';
import { ScriptedHost } from '../../scripted-host.ts';

export class LambdaUnderTest {
  readonly folder: string;

  static async open(files: Record<string, string>): Promise<LambdaUnderTest> {
    const folder = await mkdtemp(join(tmpdir(), 'virga-guest-lambda-'));
    const bundle = await rolldown({ input: join(import.meta.dirname, '../../guest.ts'), platform: 'node' });
    await bundle.write({ dir: join(folder, 'virga'), format: 'cjs', entryFileNames: '[name].cjs', chunkFileNames: 'guest-[name].cjs' });
    await bundle.close();
    for (const [name, text] of Object.entries(files)) {
      await mkdir(dirname(join(folder, name)), { recursive: true });
      await writeFile(join(folder, name), text);
    }
    return new LambdaUnderTest(folder);
  }

  private constructor(folder: string) {
    this.folder = folder;
  }

  /** A guest with the function loaded. */
  async start(binary: string, handler: string, init: Partial<InitPayload> = {}): Promise<ScriptedHost> {
    const host = new ScriptedHost(binary, join(this.folder, 'virga/guest.cjs'));
    try {
      assert.deepEqual((await host.init(this.folder, handler, { form: 'lambda', concurrency: 1, ...init })).exports, ['serve']);
    } catch (error) {
      await host[Symbol.asyncDispose]();
      throw error;
    }
    return host;
  }

  /** The result of one direct invocation; of one that failed, name and message of its error. */
  async answer(binary: string, handler: string, event: unknown = {}): Promise<unknown> {
    await using host = await this.start(binary, handler);
    const call = await host.event(event).ended;
    return call.error === undefined ? JSON.parse(call.text) : `${call.error.name}: ${call.error.message}`;
  }

  async close(): Promise<void> {
    await rm(this.folder, { recursive: true });
  }
}
