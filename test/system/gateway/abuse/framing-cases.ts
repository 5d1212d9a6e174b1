// Where does a request end? Everything by which two programs have ever come to two answers (RFC 9112, sections 6 and 7, and
// the literature on request smuggling). What is not beyond doubt is refused, and the connection ends.
import { CHUNKED, GET, HOST, NOTHING, POST, SMUGGLED } from './case.ts';
import type { AbuseCase } from './case.ts';

const refused = (name: string, lines: string, body = `${NOTHING}${SMUGGLED}`, status: number | number[] = 400): AbuseCase => ({
  name,
  send: `${POST}${lines}\r\n${body}`,
  answers: [status],
});
const fine = (name: string, lines: string, body: string, seen: string): AbuseCase => ({
  name,
  send: `${POST}${lines}\r\n${body}`,
  answers: [200],
  goesOn: true,
  seen: [seen],
});
const length = (value: string): string => `Content-Length: ${value}\r\n`;

const both: AbuseCase[] = [
  refused('CL.TE: both lengths, the chunked one shorter', length('4') + CHUNKED),
  refused('TE.CL: both lengths, the other order', CHUNKED + length('4')),
  refused('CL.0: a length of nothing beside chunked', length('0') + CHUNKED),
  refused('both lengths, spelt in capitals', `CONTENT-LENGTH: 4\r\nTRANSFER-ENCODING: CHUNKED\r\n`),
  refused('both lengths, the coding unknown', `${length('4')}Transfer-Encoding: x\r\n`),
  refused('both lengths, the coding empty', `${length('4')}Transfer-Encoding:\r\n`),
];

const codings: AbuseCase[] = [
  ['two codings', 'x, chunked'],
  ['a real coding before chunked', 'gzip, chunked'],
  ['chunked twice', 'chunked, chunked'],
  ['chunked first', 'chunked, identity'],
  ['identity', 'identity'],
  ['a vertical tab before it', '\x0bchunked'],
  ['quotes', '"chunked"'],
  ['a comma before it', ',chunked'],
  ['a comma behind it', 'chunked,'],
  ['a parameter', 'chunked;q=1'],
  ['a NUL behind it', 'chunked\0'],
  ['a letter too few', 'chunke'],
  ['a word that contains it', 'xchunked'],
  ['a form feed behind it', 'chunked\x0c'],
  ['a byte above ASCII', 'chunked\xa0'],
].map(([what, value]) => refused(`Transfer-Encoding with ${what}`, `Transfer-Encoding: ${value}\r\n`));

const obfuscated: AbuseCase[] = [
  refused('Transfer-Encoding in two lines', CHUNKED + CHUNKED),
  refused('Transfer-Encoding in two lines, the second unknown', `${CHUNKED}Transfer-Encoding: x\r\n`),
  refused('a space before the colon of Transfer-Encoding', 'Transfer-Encoding : chunked\r\n'),
  refused('a tab before the colon of Transfer-Encoding', 'Transfer-Encoding\t: chunked\r\n'),
  refused('Transfer-Encoding on a folded line', 'X: y\r\n Transfer-Encoding: chunked\r\n'),
  refused('the value of Transfer-Encoding on a folded line', 'Transfer-Encoding:\r\n chunked\r\n'),
  refused('Transfer-Encoding behind a bare LF', 'X: y\nTransfer-Encoding: chunked\r\n'),
  refused('Transfer-Encoding behind a bare CR', 'X: y\rTransfer-Encoding: chunked\r\n'),
  refused('Transfer-Encoding behind a NUL', 'X: y\0Transfer-Encoding: chunked\r\n'),
  {
    name: 'Transfer-Encoding in HTTP/1.0',
    send: `POST /@target/echo HTTP/1.0\r\n${HOST}${CHUNKED}\r\n${NOTHING}${SMUGGLED}`,
    answers: [400],
  },
  fine('an underscore makes another header of it', `Transfer_Encoding: chunked\r\n${length('5')}`, NOTHING, `POST /echo ${NOTHING}`),
  fine('a tab is white space', 'Transfer-Encoding:\tchunked\r\n', NOTHING, 'POST /echo'),
  fine('capitals mean the same', 'transfer-ENCODING: ChUnKeD\r\n', NOTHING, 'POST /echo'),
  fine('Connection cannot take the length away', `Connection: content-length\r\n${length('5')}`, 'abcde', 'POST /echo abcde'),
  fine('Connection cannot take chunked away', `Connection: transfer-encoding\r\n${CHUNKED}`, NOTHING, 'POST /echo'),
  { name: 'a GET may have a body', send: `${GET}${CHUNKED}\r\n3\r\nabc\r\n${NOTHING}`, answers: [200], goesOn: true, seen: ['GET /echo'] },
];

const lengths: AbuseCase[] = [
  ...[
    '+5',
    '-5',
    '-0',
    '0x5',
    '5.0',
    '5e0',
    '5 5',
    '5, 5',
    '5,6',
    '5;',
    'five',
    '',
    '\x0b5',
    '5\0',
    '٥',
    '1_0',
    '99999999999999999999',
    ' ',
  ].map((value) => refused(`Content-Length '${value.replace(/[^ -~]/g, '?')}'`, length(value), `abcde${SMUGGLED}`)),
  refused('Content-Length twice', length('5') + length('5'), `abcde${SMUGGLED}`),
  refused('Content-Length twice, and they differ', length('5') + length('6'), `abcde${SMUGGLED}`),
  refused('a space before the colon of Content-Length', 'Content-Length : 5\r\n', `abcde${SMUGGLED}`),
  refused('Content-Length on a folded line', 'Content-Length:\r\n 5\r\n', `abcde${SMUGGLED}`),
  refused('a Content-Length beyond what the node takes', length('18446744073709551615'), SMUGGLED, 413),
  refused('a Content-Length that a double cannot hold', length('9007199254740993'), SMUGGLED, 413),
  fine('zeros before the length are a length', length('005'), 'abcde', 'POST /echo abcde'),
  fine('what follows the body is the next request', length('5'), 'abcde', 'POST /echo abcde'),
  {
    name: 'a request in the body of another stays its body',
    send: `${POST}${length(String(SMUGGLED.length))}\r\n${SMUGGLED}`,
    answers: [200],
    goesOn: true,
    seen: [`POST /echo ${SMUGGLED}`],
  },
  { name: 'a body that ends too soon', send: `${POST}${length('50')}\r\nabc`, halfClose: true, answers: [400] },
  {
    name: 'a body without a length is the next request, and none',
    send: `${POST}\r\nabc=def&`,
    answers: [[200, 400]],
    seen: ['POST /echo'],
    seenOrNot: true,
  },
];

const chunks: AbuseCase[] = [
  ...[
    ['a negative size', '-1\r\n'],
    ['a size with 0x', '0x1\r\nx\r\n'],
    ['a size with a sign', '+1\r\nx\r\n'],
    ['a size that overflows 64 bits', '10000000000000001\r\nx\r\n'],
    ['a size of many digits', `${'F'.repeat(40)}\r\nx\r\n`],
    ['a size that is a word', 'size\r\nx\r\n'],
    ['no size', '\r\n'],
    ['a space before the size', ' 1\r\nx\r\n'],
    ['a space behind the size', '1 \r\nx\r\n'],
    ['an underscore in the size', '1_0\r\nx\r\n'],
    ['a bare LF behind the size', '1\nx\r\n'],
    ['a bare CR behind the size', '1\rx\r\n'],
    ['a bare LF in the extension', '1;a\nx\r\n'],
    ['a NUL in the extension', '1;a\0\r\nx\r\n'],
    ['more data than the size says', '1\r\nxy\r\n'],
    ['less data than the size says', '3\r\nx\r\n'],
    ['a bare LF behind the data', '1\r\nx\n'],
    ['no end of line behind the data', '1\r\nx'],
    ['a comma in the size', '1,1\r\nx\r\n'],
  ].map(([what, body]) => refused(`chunks with ${what}`, CHUNKED, `${body}${NOTHING}${SMUGGLED}`)),
  refused('a last chunk that ends with LF', CHUNKED, `1\r\nx\r\n0\n\n${SMUGGLED}`),
  refused('a last chunk with CR alone', CHUNKED, `0\r\r${SMUGGLED}`),
  refused('a chunk extension without end', CHUNKED, `1;${'a'.repeat(100_000)}\r\nx\r\n${NOTHING}${SMUGGLED}`, [400, 413, 431]),
  fine('a chunk extension is dropped', CHUNKED, `3;a=b;c="d;e"\r\nabc\r\n${NOTHING}`, 'POST /echo abc'),
  fine('zeros before a size', CHUNKED, `0003\r\nabc\r\n000\r\n\r\n`, 'POST /echo abc'),
  fine('the last chunk with an extension', CHUNKED, `3\r\nabc\r\n0;x\r\n\r\n`, 'POST /echo abc'),
  fine(
    'a request in a chunk stays in it',
    CHUNKED,
    `${SMUGGLED.length.toString(16)}\r\n${SMUGGLED}\r\n${NOTHING}`,
    `POST /echo ${SMUGGLED}`,
  ),
  fine('trailers are dropped', CHUNKED, '0\r\nHost: evil\r\nX-Admin: 1\r\n\r\n', 'POST /echo'),
  refused('a trailer that would frame', CHUNKED, `0\r\nContent-Length: 50\r\n\r\n${SMUGGLED}`),
  refused('a trailer that is no header', CHUNKED, `0\r\nno trailer\r\n\r\n${SMUGGLED}`),
  refused('a folded trailer', CHUNKED, `0\r\nA: b\r\n c\r\n\r\n${SMUGGLED}`),
  refused('trailers without end', CHUNKED, `0\r\n${'X-A: b\r\n'.repeat(20_000)}\r\n${SMUGGLED}`, [400, 413, 431]),
  { name: 'chunks that end too soon', send: `${POST}${CHUNKED}\r\n5\r\nabc`, halfClose: true, answers: [400] },
];

export const framingCases: AbuseCase[] = [...both, ...codings, ...obfuscated, ...lengths, ...chunks];
