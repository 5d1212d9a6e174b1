// The request line, the headers and what is no HTTP at all.
import { GET, HOST, LAST, POST, SMUGGLED } from './case.ts';
import type { AbuseCase } from './case.ts';

const line = (name: string, first: string, answers: AbuseCase['answers'] = [400]): AbuseCase => ({
  name,
  send: `${first}\r\n${HOST}\r\n${SMUGGLED}`,
  answers,
});
const header = (name: string, lines: string): AbuseCase => ({ name, send: `${GET}${lines}\r\n\r\n${SMUGGLED}`, answers: [400] });

const requestLines: AbuseCase[] = [
  line('a tab between method and path', 'GET\t/echo HTTP/1.1'),
  line('a word too many', 'GET /echo echo HTTP/1.1'),
  line('a space behind the version', 'GET /echo HTTP/1.1 '),
  line('a space before the method', ' GET /echo HTTP/1.1'),
  line('no path', 'GET HTTP/1.1'),
  line('a NUL in the path', 'GET /ec\0ho HTTP/1.1'),
  line('a control character in the path', 'GET /ec\x01ho HTTP/1.1'),
  line('a byte above ASCII in the path', 'GET /ec\xe9ho HTTP/1.1'),
  line('a path that begins with a backslash', 'GET \\echo HTTP/1.1'),
  line('a CR in the path', 'GET /ec\rho HTTP/1.1'),
  line('the version in small letters', 'GET /echo http/1.1'),
  line('another protocol', 'GET /echo ICY/1.1'),
  // The parser takes it for HTTP/1.0; nobody in front of us would.
  { name: 'RTSP/1.0 is a request of HTTP/1.0', send: `GET /echo RTSP/1.0\r\n${HOST}\r\n`, answers: [200], seen: ['GET /echo'] },
  line('a version without its minor', 'GET /echo HTTP/1'),
  line('a minor of two digits', 'GET /echo HTTP/1.11'),
  line('a version that is a word', 'GET /echo HTTP/x.y'),
  line('HTTP/0.9 in the form of 1.1', 'GET /echo HTTP/0.9'),
  line('HTTP/1.2', 'GET /echo HTTP/1.2'),
  line('HTTP/2.0 in the form of 1.1', 'GET /echo HTTP/2.0'),
  line('HTTP/3.0 in the form of 1.1', 'GET /echo HTTP/3.0'),
  line('a method in small letters', 'get /echo HTTP/1.1'),
  line('a method that nobody knows', 'FOO /echo HTTP/1.1'),
  line('a method with a NUL', 'G\0T /echo HTTP/1.1'),
  line('a method with a parenthesis', 'GET( /echo HTTP/1.1'),
  line('a method without end', `${'A'.repeat(100_000)} /echo HTTP/1.1`),
  line('an empty method', ' /echo HTTP/1.1'),
  line('a request line that ends with CR alone', `GET /echo HTTP/1.1\r${HOST}`),
  line('a path without end', `GET /${'a'.repeat(100_000)} HTTP/1.1`, [[414, 431]]),
  line('a query without end', `GET /echo?${'a'.repeat(100_000)} HTTP/1.1`, [[414, 431]]),
  { name: 'a request line that ends with LF', send: `GET /echo HTTP/1.1\n${HOST}\r\n`, answers: [400] },
  { name: 'only LF everywhere', send: 'GET /echo HTTP/1.1\nHost: target.localhost\n\n', answers: [400] },
  { name: 'HTTP/0.9', send: 'GET /echo\r\n', halfClose: true, answers: [400] },
  { name: 'CONNECT', send: `CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: 127.0.0.1:22\r\n\r\n${SMUGGLED}`, answers: [] },
  { name: 'CONNECT with a path', send: `CONNECT /echo HTTP/1.1\r\n${HOST}\r\n${SMUGGLED}`, answers: [] },
  { name: 'TRACE', send: `TRACE /echo HTTP/1.1\r\n${HOST}Cookie: secret\r\n\r\n`, answers: [405], goesOn: true },
  { name: 'empty lines before a request', send: `\r\n\r\n\r\n${GET}\r\n`, answers: [200], goesOn: true, seen: ['GET /echo'] },
  { name: 'a request line that breaks off', send: 'GET /ec', halfClose: true, answers: [400] },
];

const headers: AbuseCase[] = [
  header('a space in a name', 'X A: b'),
  header('no colon', 'XA'),
  header('no name', ': b'),
  header('a space before the colon', 'X : b'),
  header('a bare CR in a value', 'X: a\rb'),
  header('a bare LF in a value', 'X: a\nY: b'),
  header('a NUL in a value', 'X: a\0b'),
  header('a DEL in a value', 'X: a\x7fb'),
  header('a control character in a value', 'X: a\x01b'),
  header('a NUL in a name', 'X\0: b'),
  header('a byte above ASCII in a name', 'X\xe9: b'),
  header('a parenthesis in a name', 'X(: b'),
  header('a folded value', 'X: a\r\n b'),
  header('a value folded with a tab', 'X: a\r\n\tb'),
  { name: 'a folded first line', send: `GET /echo HTTP/1.1\r\n X: a\r\n${HOST}\r\n${SMUGGLED}`, answers: [400] },
  { name: 'headers without end', send: `${GET}${'X-A: b\r\n'.repeat(20_000)}\r\n${SMUGGLED}`, answers: [431] },
  {
    name: 'more headers than anybody needs',
    send: `${GET}${'X-A-Header-Of-Some-Length: b\r\n'.repeat(2_100)}\r\n${SMUGGLED}`,
    answers: [431],
  },
  { name: 'a value without end', send: `${GET}X: ${'a'.repeat(100_000)}\r\n\r\n`, answers: [431] },
  { name: 'a name without end', send: `${GET}${'a'.repeat(100_000)}: b\r\n\r\n`, answers: [431] },
  { name: 'a head that breaks off', send: GET, halfClose: true, answers: [400] },
  { name: 'bytes above ASCII in a value', send: `${GET}X: \xff\xfe\r\n\r\n`, answers: [200], goesOn: true, seen: ['GET /echo'] },
  {
    name: 'Connection cannot take the host away',
    send: `${GET}Connection: host, x-a\r\nX-A: b\r\n\r\n`,
    answers: [200],
    goesOn: true,
    seen: ['GET /echo'],
  },
];

const expectations: AbuseCase[] = [
  {
    name: 'Expect: 100-continue',
    send: [`${POST}Expect: 100-continue\r\nContent-Length: 1\r\n\r\n`, 'x'],
    answers: [200],
    goesOn: true,
    seen: ['POST /echo x'],
  },
  { name: 'Expect without a body', send: `${GET}Expect: 100-continue\r\n\r\n`, answers: [200], goesOn: true, seen: ['GET /echo'] },
  { name: 'an expectation that nobody knows', send: `${GET}Expect: miracles\r\n\r\n`, answers: [417], goesOn: true },
  {
    name: 'such an expectation with a body, which stays one',
    send: `${POST}Expect: 200-ok\r\nContent-Length: ${SMUGGLED.length}\r\n\r\n${SMUGGLED}`,
    answers: [417],
    goesOn: true,
  },
  {
    name: 'an expectation for a path that there is not',
    send: `POST /nowhere HTTP/1.1\r\n${HOST}Expect: 100-continue\r\nContent-Length: 5\r\n\r\n`,
    answers: [404],
  },
  {
    name: 'an expectation of a body that is too large',
    send: `${POST}Expect: 100-continue\r\nContent-Length: 999999999999\r\n\r\n`,
    answers: [413],
  },
];

const upgrades: AbuseCase[] = [
  { name: 'a control character in Upgrade', send: `${GET}Connection: Upgrade\r\nUpgrade: \x01\r\n\r\n`, answers: [400] },
  {
    name: 'a WebSocket for a function that takes none',
    send: `${GET}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n${SMUGGLED}`,
    answers: [501],
  },
  { name: 'a WebSocket in capitals', send: `${GET}Connection: UPGRADE\r\nUpgrade: WEBSOCKET\r\n\r\n${SMUGGLED}`, answers: [501] },
  {
    name: 'a WebSocket for a path that there is not',
    send: `GET /nowhere HTTP/1.1\r\n${HOST}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n${SMUGGLED}`,
    answers: [404],
  },
  {
    name: 'a WebSocket with two hosts',
    send: `${GET}Host: other\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n${SMUGGLED}`,
    answers: [400],
  },
  {
    name: 'a WebSocket with a coding that nobody knows',
    send: `${GET}Connection: Upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: x, chunked\r\n\r\n${SMUGGLED}`,
    answers: [400],
  },
  {
    name: 'a WebSocket by HTTP/2.0 in the form of 1.1',
    send: `GET /echo HTTP/2.0\r\n${HOST}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n${SMUGGLED}`,
    answers: [400],
  },
  { name: 'Upgrade without Connection', send: `${GET}Upgrade: websocket\r\n\r\n`, answers: [200], goesOn: true, seen: ['GET /echo'] },
  {
    name: 'h2c is not taken up',
    send: `${GET}Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n`,
    answers: [200],
    seen: ['GET /echo'],
  },
  {
    name: 'TLS by Upgrade is not taken up',
    send: `${GET}Connection: Upgrade, close\r\nUpgrade: TLS/1.0\r\n\r\n`,
    answers: [200],
    seen: ['GET /echo'],
  },
  {
    name: 'a list of protocols that nobody knows',
    send: `${GET}Connection: Upgrade, close\r\nUpgrade: a/1, b/2\r\n\r\n`,
    answers: [200],
    seen: ['GET /echo'],
  },
  {
    name: 'an upgrade with a body is a request',
    send: `${POST}Connection: Upgrade, close\r\nUpgrade: websocket\r\nContent-Length: 3\r\n\r\nabc`,
    answers: [200],
    seen: ['POST /echo abc'],
  },
];

// Found by fuzzing: it ended the edge.
upgrades.push({
  name: 'an upgrade that is pipelined behind a request is a request',
  send: `${GET}\r\n${GET}Connection: Upgrade, close\r\nUpgrade: websocket\r\n\r\n`,
  answers: [200, 200],
  seen: ['GET /echo', 'GET /echo'],
});

const garbage: AbuseCase[] = [
  { name: 'the preface of HTTP/2', send: 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0', answers: [400] },
  { name: 'the hello of TLS', send: Buffer.from(`1603010200010001fc0303${'5a'.repeat(500)}`, 'hex'), answers: [400] },
  { name: 'SSH', send: 'SSH-2.0-OpenSSH_9.6\r\n', answers: [400] },
  { name: 'SMTP', send: 'EHLO example.com\r\n', answers: [400] },
  { name: 'an answer instead of a request', send: 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n', answers: [400] },
  { name: 'the PROXY protocol, which nobody asked for', send: `PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n${LAST}`, answers: [400] },
  { name: 'zeros', send: Buffer.alloc(50_000), answers: [400] },
  { name: 'all bits set', send: Buffer.alloc(50_000, 255), answers: [400] },
  { name: 'JSON', send: '{"jsonrpc":"2.0","method":"x"}\n', answers: [400] },
  { name: 'nothing at all', send: '', halfClose: true, answers: [] },
  { name: 'empty lines and nothing else', send: '\r\n'.repeat(100), halfClose: true, answers: [] },
  {
    name: 'garbage behind a good request',
    send: `${GET}\r\n\x00\xff\x00garbage\r\n\r\n`,
    answers: [[200, 400]],
    seen: ['GET /echo'],
    seenOrNot: true,
  },
];

export const headCases: AbuseCase[] = [...requestLines, ...headers, ...expectations, ...upgrades, ...garbage];
