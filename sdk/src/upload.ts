// The body of an upload as a stream that reports its progress. Invariant: one chunk at a time is in memory, and the
// number of bytes is checked against what was promised. Used by control.ts.

export interface UploadProgress {
  sentBytes: number;
  totalBytes: number;
}

export interface UploadOptions {
  /** Length of the whole, as it will be sent in `content-length`. */
  bytes: number;
  /** Called for each chunk handed to the network; must not throw. */
  onProgress?: ((progress: UploadProgress) => void) | undefined;
  signal?: AbortSignal | undefined;
}

const CHUNK_BYTES = 64 * 1024;

export function progressStream(source: Uint8Array | AsyncIterable<Uint8Array>, options: UploadOptions): ReadableStream<Uint8Array> {
  const chunks = (source instanceof Uint8Array ? slices(source) : source)[Symbol.asyncIterator]();
  let sentBytes = 0;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { value, done } = await chunks.next();
        if (done) {
          if (sentBytes !== options.bytes)
            throw new RangeError(`the source ended after ${sentBytes} bytes of the promised ${options.bytes}`);
          controller.close();
          return;
        }
        sentBytes += value.byteLength;
        if (sentBytes > options.bytes) throw new RangeError(`the source has more than the promised ${options.bytes} bytes`);
        controller.enqueue(value);
        options.onProgress?.({ sentBytes, totalBytes: options.bytes });
      },
      async cancel() {
        await chunks.return?.();
      },
    },
    { highWaterMark: 0 },
  );
}

async function* slices(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  for (let at = 0; at < bytes.byteLength; at += CHUNK_BYTES) yield bytes.subarray(at, at + CHUNK_BYTES);
}
