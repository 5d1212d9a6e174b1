// `gateway.openapi`: a document that describes the project's routes, served with a page to try them; and a document that routes are
// taken from. Served by gateway/openapi/; `document` is read by the CLI (cli/manifest/openapi-routes.ts), since it is a file.
import { z } from 'zod';

const path = z
  .string({ error: 'a path such as /openapi.json' })
  .regex(/^(?:\/[A-Za-z0-9._~-]+)+$/, { error: 'a path such as /openapi.json, without parameters' })
  .max(200);
const text = (max: number) =>
  z
    .string({ error: 'a text' })
    .min(1)
    .max(max, { error: `at most ${max} characters` });

export const openapi = z
  .strictObject(
    {
      document: z
        .string({ error: 'a file of the project, such as openapi.yaml' })
        .min(1)
        .optional()
        .describe(
          'A file of the project, OpenAPI 3.0 or 3.1: its operations become routes of the functions that they name by `x-virga-function`, or by an `operationId` that is the name of a function; their parameters and bodies become `validate`.',
        ),
      serve: path
        .optional()
        .describe(
          'Where the document of the routes is served, e.g. /openapi.json. Without it nowhere. Whoever may call the path sees all routes and schemas.',
        ),
      docs: path.optional().describe('Where the page is served on which calls can be tried, e.g. /docs. Needs `serve`.'),
      title: text(200).optional().describe('Title of the document. Without it the name of the project.'),
      version: text(100).optional().describe('Version of the document. Without it the number of the deployment.'),
      description: text(5_000).optional().describe('What the document says about the whole, in Markdown.'),
    },
    { error: 'where to serve it, such as {serve: /openapi.json, docs: /docs}' },
  )
  .superRefine((value, context) => {
    const rule = (key: string, message: string): void => context.addIssue({ code: 'custom', path: [key], message, params: { rule: true } });
    if (value.docs !== undefined && value.serve === undefined)
      rule('docs', 'the page shows the document that is served; add serve: /openapi.json');
    if (value.docs !== undefined && value.docs === value.serve) rule('docs', 'the page and the document cannot have one path');
  })
  .describe('The OpenAPI document of the project: served, and read.');

const names = z.string({ error: 'a name' }).regex(/^[A-Za-z0-9_.~-]{1,100}$/, { error: 'letters, digits and _ . ~ -, at most 100' });

const words = z.strictObject(
  {
    summary: text(300).optional().describe('What the operation does, in a line.'),
    description: text(5_000).optional().describe('The same at length, in Markdown.'),
    operationId: names
      .optional()
      .describe(
        'Name of the operation, for generated clients. Without it the name of the function, with method and path where it has several routes.',
      ),
    tags: z
      .array(text(100), { error: 'a list of tags' })
      .max(20)
      .optional()
      .describe('Groups that the operation stands in. Without it the name of the function.'),
    deprecated: z.boolean({ error: 'true or false' }).optional().describe('Whether clients should stop using it.'),
  },
  { error: 'words such as {summary: Adds a note}' },
);

export const operation = z
  .union([z.literal(false), words], { error: 'words such as {summary: Adds a note}, or false' })
  .describe('What the OpenAPI document of the project says of the route; `false`: nothing.');

export type OperationRules = z.infer<typeof words>;

export const operationExample = `The document of the project is served, with a page to try calls on, and says of a route what it is for:

    gateway:
      openapi: {serve: /openapi.json, docs: /docs, title: Notes, version: "1.0"}
    functions:
      notes:
        source: notes.ts
        http:
          - path: /notes
            methods: [POST]
            openapi: {summary: Adds a note, tags: [notes]}`;
