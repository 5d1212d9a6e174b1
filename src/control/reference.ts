// The reference pages that are made from the code: docs/reference/errors.md from the table of errors, openapi.json from the
// schemas of the operations. reference.test.ts checks that the files are current; run as a program, this writes them:
//   sh bin/node src/control/reference.ts
import { mkdir, writeFile } from 'node:fs/promises';
import { ERRORS } from '../protocol/errors.ts';
import type { ErrorCode } from '../protocol/errors.ts';
import { createControl } from './control.ts';
import type { ControlNeeds } from './control.ts';
import { openApiOf } from './read-openapi.ts';

const FAULTS = {
  caller: 'the request; sending it again unchanged does not help',
  function: "the function's own code; Virga did its part",
  platform: 'Virga or the machine that it runs on',
} as const;

export function errorsPage(): string {
  const codes = Object.keys(ERRORS) as ErrorCode[];
  const rows = codes.map((code) => {
    const { status, fault, retry, meaning } = ERRORS[code];
    return `| \`${code}\` | ${status} | ${fault} | ${retry} | ${meaning} |`;
  });
  return `<!-- Made by src/control/reference.ts from src/protocol/errors.ts. -->

# Errors

Every error of the control API and of the edge is JSON of this form:

\`\`\`json
{"error": {"code": "function_timeout", "message": "…", "fault": "function", "requestId": "req_…", "detail": {}}}
\`\`\`

Compare by \`code\`: messages name the offending value and may change. \`requestId\` is also in the header \`x-request-id\` and in
the platform's log. \`detail\` is there only where a code says so; for \`invalid_request\` it is a list of
\`{"path", "message", "value"}\`, one for each problem.

\`fault\` says who has to act:

${Object.entries(FAULTS)
  .map(([fault, meaning]) => `- \`${fault}\`: ${meaning}.`)
  .join('\n')}

\`retry\` says whether the same request may succeed later without a change: \`no\`, \`later\` (after the seconds of \`Retry-After\`) or
\`now\`.

| code | status | fault | retry | meaning |
| --- | --- | --- | --- | --- |
${rows.join('\n')}
`;
}

export function openApiPage(): string {
  // Describing the operations runs none of them, so they need nothing.
  const app = createControl({} as ControlNeeds);
  return `${JSON.stringify(openApiOf(app), null, 2)}\n`;
}

if (import.meta.main) {
  const folder = new URL('../../docs/reference/', import.meta.url);
  await mkdir(folder, { recursive: true });
  await writeFile(new URL('errors.md', folder), errorsPage());
  await writeFile(new URL('openapi.json', folder), openApiPage());
}
