// Hosts, forms of the target, and paths that want to be somewhere else (docs/reference/http.md tells the rules).
import { HOST } from './case.ts';
import type { AbuseCase } from './case.ts';

const path = (target: string, answer: number, seen?: string): AbuseCase => ({
  name: `the path ${target}`,
  send: `GET ${target} HTTP/1.1\r\n${HOST}\r\n`,
  answers: [answer],
  goesOn: true,
  ...(seen === undefined ? {} : { seen: [`GET ${target} ${seen}`] }),
});
const host = (value: string, answer: number, name = `the host '${value}'`): AbuseCase => ({
  name,
  send: `GET /@target/echo HTTP/1.1\r\nHost: ${value}\r\n\r\n`,
  answers: [answer],
  goesOn: true,
  ...(answer === 200 ? { seen: ['GET /echo'] } : {}),
});
const form = (target: string, answer: number, seen: string[] = []): AbuseCase => ({
  name: `the target ${target}`,
  send: `GET ${target} HTTP/1.1\r\n${HOST}\r\n`,
  answers: [answer],
  goesOn: true,
  seen,
});

const paths: AbuseCase[] = [
  // Dot segments, whichever way they are written.
  ...[
    '/rest/../echo',
    '/rest/..',
    '/rest/.',
    '/./echo',
    '/../../etc/passwd',
    '/rest/a/../../echo',
    '/rest/%2e%2e/echo',
    '/rest/%2E%2E/echo',
    '/rest/.%2e/echo',
    '/rest/%2e',
    '/rest/..%2fecho',
    '/rest/..%2f..%2fetc',
    '/rest/a%2f..%2f..%2fb',
    '/rest/..%5cecho',
    '/rest/a%5c..%5cb',
    '/one/%2e%2e',
    '/one/..%2f',
    '/@target/../echo',
  ].map((target) => path(target, 400)),
  // Backslashes, which URLs take for slashes; fragments, at which they end.
  ...['/rest\\..\\echo', '/rest/a\\b', '/echo#', '/echo#/../x', '/echo?a#b', '/rest/#'].map((target) => path(target, 400)),
  // Bytes that end a string or a line somewhere else.
  ...['/one/a%00', '/one/%00', '/one/a%0d%0aset-cookie:x', '/one/%0a', '/rest/a%7f', '/one/%1b[31m'].map((target) => path(target, 400)),
  // What is no encoding, or none of UTF-8.
  ...['/one/%', '/one/%2', '/one/%zz', '/one/%c0%ae%c0%ae', '/one/%c0%af', '/one/%ff', '/one/%ed%a0%80', '/one/%u002e', '/%e0%80%af'].map(
    (target) => path(target, 400),
  ),
  // A parameter never begins with a slash.
  path('/one/%2fetc', 400),
  path('/rest/%2fetc%2fpasswd', 400),
  path('/rest/%5c%5cserver', 400),
  path('/rest//etc/passwd', 404),
  path('//evil.example/echo', 404),
  path('/one//x', 404),
  // An encoded slash never splits a segment, and nothing is decoded twice.
  path('/one/a%2fb', 200, '{"name":"a/b"}'),
  path('/one%2fx', 404),
  path('/%65cho', 200, '{}'),
  path('/one/%252e%252e', 200, '{"name":"%2e%2e"}'),
  path('/one/%252fetc', 200, '{"name":"%2fetc"}'),
  path('/one/%2500', 200, '{"name":"%00"}'),
  path('/one/a%5cb', 200, '{"name":"a\\\\b"}'),
  path('/rest/a//b', 200, '{"path":"a//b"}'),
  path('/rest/a/b..c/...', 200, '{"path":"a/b..c/..."}'),
  path('/one/..;', 200, '{"name":"..;"}'),
  path('/one/x;y=z', 200, '{"name":"x;y=z"}'),
  path('/echo;x', 404),
  path('/ECHO', 404),
  path('/echo?/../../etc&a=%00', 200, '{}'),
  path('/one/%e2%80%ae', 200, '{"name":"\u202e"}'),
  path('/one/__proto__', 200, '{"name":"__proto__"}'),
  path('/@nobody/echo', 404),
  path('/@/echo', 404),
  path('/@target%2fecho', 404),
];

const hosts: AbuseCase[] = [
  { name: 'no host', send: 'GET /@target/echo HTTP/1.1\r\n\r\n', answers: [400] },
  { name: 'two hosts', send: `GET /echo HTTP/1.1\r\n${HOST}Host: other\r\n\r\n`, answers: [400] },
  { name: 'the same host twice', send: `GET /echo HTTP/1.1\r\n${HOST}${HOST}\r\n`, answers: [400] },
  { name: 'an empty host and another', send: `GET /echo HTTP/1.1\r\nHost:\r\n${HOST}\r\n`, answers: [400] },
  { name: 'HTTP/1.0 needs no host', send: 'GET /@target/echo HTTP/1.0\r\n\r\n', answers: [200], seen: ['GET /echo'] },
  {
    name: 'HTTP/1.0 that stays',
    send: 'GET /@target/echo HTTP/1.0\r\nConnection: keep-alive\r\n\r\n',
    answers: [200],
    goesOn: true,
    seen: ['GET /echo'],
  },
  ...[
    'a/b',
    'a/../target.localhost',
    'user@target.localhost',
    'a b',
    'a,b',
    'a?b',
    'a#b',
    'a\\b',
    'a%2eb',
    'a:b',
    'a:',
    'a:80:80',
    'a:99999',
    'a:-1',
    '[::1',
    '::1',
    '[1::2::3]',
    '[fe80::1%25eth0]',
    '1.2.3.256',
    '1.2.3.4.5',
    '<script>',
    "a'b",
    'a"b',
    '*',
    'x'.repeat(300) + '/',
  ].map((value) => host(value, 400)),
  host('', 200, 'an empty host'),
  host('[::1]:8080', 200),
  host('127.0.0.1', 200),
  host('ANY.example:65535', 200),
  { name: 'a host that names no project', send: 'GET /echo HTTP/1.1\r\nHost: localhost\r\n\r\n', answers: [404], goesOn: true },
  { name: 'a project that there is not', send: 'GET /echo HTTP/1.1\r\nHost: nobody.localhost\r\n\r\n', answers: [404], goesOn: true },
  {
    name: 'X-Forwarded-Host is nobody',
    send: 'GET /echo HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-Host: target.localhost\r\n\r\n',
    answers: [404],
    goesOn: true,
  },
];

const forms: AbuseCase[] = [
  form('http://target.localhost/echo', 200, ['GET /echo']),
  form('HTTP://TARGET.LOCALHOST/echo', 200, ['GET /echo']),
  form('http://target.localhost?x', 200, ['GET /?x']),
  form('http://other.localhost/echo', 400),
  form('http://user@target.localhost/echo', 400),
  form('http://target.localhost:81/echo', 400),
  form('http:///echo', 400),
  form('ftp://target.localhost/echo', 400),
  form('file:///etc/passwd', 400),
  form('*', 400),
  { name: 'OPTIONS *', send: `OPTIONS * HTTP/1.1\r\n${HOST}\r\n`, answers: [400], goesOn: true },
  { name: 'the authority form', send: `GET target.localhost:80 HTTP/1.1\r\n${HOST}\r\n`, answers: [400] },
  { name: 'a path without its slash', send: `GET echo HTTP/1.1\r\n${HOST}\r\n`, answers: [400] },
];

export const targetCases: AbuseCase[] = [...paths, ...hosts, ...forms];
