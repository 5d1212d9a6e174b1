// A client that says whatever it is told, byte by byte if need be, and reads the answers as HTTP/1.1 has them framed.
// Invariant: every exchange concludes: the connection closes, or `timeoutMs` passes and it is a failure. Used by the abuse tests.
import { connect } from 'node:net';
import type { Socket } from 'node:net';

export interface Answer {
  status: number;
  headers: Map<string, string>;
  body: string;
}

export interface Exchange {
  answers: Answer[];
  /** What came and is no whole answer. */
  rest: string;
}

const TIMEOUT_MS = 8_000;

/** A client that sends nonsense cannot know when its answer is there: after so long a silence it says that no more will come. */
const SILENCE_MS = 40;

/** Sends the pieces one by one and reads until the other side closes; `halfClose`: this side says that no more will come, or says so after a silence. */
export async function exchange(
  port: number,
  pieces: readonly (string | Buffer)[],
  options: { halfClose?: boolean | 'late' | undefined } = {},
): Promise<Exchange> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  socket.setNoDelay(true);
  const closed = received(socket);
  for (const piece of pieces) {
    if (socket.destroyed || socket.writableEnded) break;
    const bytes = typeof piece === 'string' ? Buffer.from(piece, 'latin1') : piece;
    await new Promise<void>((resolve) => socket.write(bytes, () => resolve()));
  }
  if (options.halfClose === true) socket.end();
  if (options.halfClose === 'late') {
    const silence = setTimeout(() => socket.end(), SILENCE_MS);
    socket.on('data', () => silence.refresh());
    socket.on('close', () => clearTimeout(silence));
  }
  return parse(await closed);
}

function received(socket: Socket): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let text = '';
  const late = setTimeout(() => {
    socket.destroy();
    reject(new Error(`the connection did not conclude within ${TIMEOUT_MS} ms; so far: ${JSON.stringify(text.slice(0, 500))}`));
  }, TIMEOUT_MS);
  socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
  // Reset by the other side: as good as closed.
  socket.on('error', () => {});
  socket.on('end', () => socket.end());
  socket.on('close', () => {
    clearTimeout(late);
    resolve(text);
  });
  return promise;
}

/** Interim answers (100) are left out. */
export function parse(text: string): Exchange {
  const answers: Answer[] = [];
  let rest = text;
  while (rest.startsWith('HTTP/1.1 ')) {
    const end = rest.indexOf('\r\n\r\n');
    if (end < 0) break;
    const [first = '', ...lines] = rest.slice(0, end).split('\r\n');
    const headers = new Map(
      lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
    );
    const status = Number(first.slice(9, 12));
    const after = rest.slice(end + 4);
    if (status === 100) {
      rest = after;
      continue;
    }
    const body = bodyOf(headers, after);
    if (body === undefined) break;
    answers.push({ status, headers, body: body.text });
    rest = after.slice(body.bytes);
  }
  return { answers, rest };
}

function bodyOf(headers: Map<string, string>, after: string): { text: string; bytes: number } | undefined {
  if (headers.get('transfer-encoding') === 'chunked') {
    let text = '';
    for (let at = 0; ;) {
      const line = after.indexOf('\r\n', at);
      if (line < 0) return undefined;
      const bytes = Number.parseInt(after.slice(at, line), 16);
      text += after.slice(line + 2, line + 2 + bytes);
      at = line + 2 + bytes + 2;
      if (bytes === 0) return { text, bytes: at };
    }
  }
  const length = headers.get('content-length');
  if (length === undefined) return { text: after, bytes: after.length };
  return after.length < Number(length) ? undefined : { text: after.slice(0, Number(length)), bytes: Number(length) };
}
