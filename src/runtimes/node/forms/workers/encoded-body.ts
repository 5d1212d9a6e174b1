// Content-Encoding of a Worker's answer. At Cloudflare a body is what the code sees, decoded, and the header says how it is to be
// sent: `new Response('text', { headers: { 'content-encoding': 'gzip' } })` is compressed on its way, and `new Response(
// fetched.body, fetched)` again, unless it was made with `encodeBody: 'manual'`. Node sends what it is given, under whatever
// header. Invariant: an answer never says an encoding that its body does not have. Used by http-call.ts; globals.ts notes what is manual.
import type { HttpRequestMeta } from '../../../../protocol/frames.ts';

const manual = new WeakSet<Response>();

export function encodesItself(response: Response): void {
  manual.add(response);
}

export function isEncoded(response: unknown): response is Response {
  return (
    response instanceof Response &&
    response.body !== null &&
    response.headers.has('content-encoding') &&
    response.url === '' &&
    !manual.has(response)
  );
}

export function encodedAsSaid(response: Response, { headers: flat }: HttpRequestMeta): Response {
  const headers = new Headers(response.headers);
  const coding = headers.get('content-encoding')!.trim().toLowerCase();
  const compressor = accepts(flat, coding) ? compressorOf(coding) : undefined;
  headers.delete('content-length');
  if (compressor === undefined) {
    headers.delete('content-encoding');
    return new Response(response.body, { status: response.status, statusText: response.statusText, headers });
  }
  const { status, statusText } = response;
  return new Response(response.body!.pipeThrough(compressor), { status, statusText, headers });
}

function accepts(flat: readonly string[], coding: string): boolean {
  for (let i = 0; i + 1 < flat.length; i += 2) {
    if (flat[i]!.toLowerCase() === 'accept-encoding')
      return flat[i + 1]!.toLowerCase()
        .split(/[\s,;]+/)
        .includes(coding);
  }
  return false;
}

function compressorOf(coding: string): ReadableWritablePair<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>> | undefined {
  const { createGzip, createBrotliCompress, createDeflate, constants } = process.getBuiltinModule('node:zlib');
  const { Duplex } = process.getBuiltinModule('node:stream');
  const made =
    coding === 'gzip'
      ? createGzip()
      : coding === 'deflate'
        ? createDeflate()
        : coding === 'br'
          ? // The default of 11 is for what is compressed once and sent often.
            createBrotliCompress({ params: { [constants.BROTLI_PARAM_QUALITY]: 4 } })
          : undefined;
  return made === undefined ? undefined : (Duplex.toWeb(made) as ReadableWritablePair<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>);
}
