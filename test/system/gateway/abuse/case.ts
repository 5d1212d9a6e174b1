// One case of the abuse suite, and words that many of them share.

export interface AbuseCase {
  name: string;
  /** Bytes as latin-1, in pieces that leave one by one. */
  send: string | Buffer | readonly (string | Buffer)[];
  /** Statuses of the answers, in order; of a list any. Empty: the connection closes without one. Then it is closed by Virga. */
  answers: readonly (number | readonly number[])[];
  /** The connection serves on: one more request, which says close, is appended and answered. */
  goesOn?: true;
  /** The client ends its side. */
  halfClose?: true;
  /** What reached the function, e.g. `POST /echo`, with the body behind it if there is one. Without it nothing. */
  seen?: readonly string[];
  /** It may have reached it, or been broken off before. */
  seenOrNot?: true;
}

export const HOST = 'Host: target.localhost\r\n';
export const GET = `GET /echo HTTP/1.1\r\n${HOST}`;
export const POST = `POST /echo HTTP/1.1\r\n${HOST}`;
/** What somebody tries to get past the gateway inside of another request. */
export const SMUGGLED = `GET /smuggled HTTP/1.1\r\n${HOST}\r\n`;
export const LAST = `GET /echo?last HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`;
export const CHUNKED = 'Transfer-Encoding: chunked\r\n';
export const NOTHING = '0\r\n\r\n';
