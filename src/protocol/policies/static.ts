// `static` of a route: files of a folder, served by the gateway itself. The folder is packed at deploy (cli/build/static-folder.ts)
// and the state of the project names the artifact of each folder. Enforced by gateway/static/.
import { z } from 'zod';

const fileError = 'the name of a file in the folder, such as index.html';
const file = z
  .string({ error: fileError })
  .regex(/^(?!\/)(?!.*\\)[^\0-\x1f]{1,256}$/, { error: fileError })
  .refine((text) => !text.split('/').some((part) => part === '..' || part === '.' || part === ''), { error: fileError });
const folderError = 'a folder, relative to the manifest, such as public';

/** Written in the manifest, named by the deployment. */
export const staticFolder = z
  .string({ error: folderError })
  .min(1, { error: folderError })
  .max(512, { error: folderError })
  .refine((text) => !text.startsWith('/') && !text.includes('\\') && !text.includes('\0') && !text.split('/').includes('..'), {
    error: 'a folder inside the folder of the manifest',
  });

const rules = z
  .strictObject(
    {
      folder: staticFolder.describe(
        'The folder, relative to the manifest. Its files are uploaded with the deployment, but for those whose name begins with a dot (`.well-known` is served) and symbolic links.',
      ),
      index: file.optional().describe('What stands for a folder. Without it index.html.'),
      spa: z
        .boolean({ error: 'true or false' })
        .optional()
        .describe(
          'A single-page application: where there is no such file, a browser that opens a page (Accept: text/html) gets `fallback`, or else the index of the folder, with 200.',
        ),
      fallback: file.optional().describe('What a single-page application is, where that is not `index`. Says `spa` too.'),
      notFound: file.optional().describe('The page that is sent with 404, such as 404.html. Without it an error in JSON.'),
      cleanUrls: z
        .boolean({ error: 'true or false' })
        .optional()
        .describe('Whether /about stands for about.html where there is no file about.'),
      cacheControl: z
        .string({ error: 'a Cache-Control such as "public, max-age=300"' })
        .regex(/^[\x20-\x7e]{1,256}$/, { error: 'a Cache-Control such as "public, max-age=300"' })
        .optional()
        .describe(
          'Cache-Control of files whose name does not change with what is in them. Without it `no-cache`: kept, but asked for each time.',
        ),
      immutable: z
        .array(file, { error: 'a list of folders such as [assets]' })
        .max(20, { error: 'at most 20 folders' })
        .optional()
        .describe(
          'Folders of which every file is kept by browsers for a year. Without it: files with a hash in their name, such as app.3f2a91bc.js, and those of the folders assets, _next/static and _app/immutable.',
        ),
    },
    { error: 'files such as {folder: public}' },
  )
  .describe('Serves the files of a folder.');

export const staticFiles = rules.describe(
  'Serves the files of a folder. The path of the route ends with what names the file, such as `/{file+}`; the path before it, here `/`, is the folder itself.',
);
export type StaticRules = z.infer<typeof rules>;

export const staticExample = `A website with an API beside it; the application in \`dist\` decides itself what its paths show:

    gateway:
      routes:
        - path: /{file+}
          static: {folder: dist, spa: true}
    functions:
      api:
        source: api.ts
        http: /api/{rest+}`;

/** What is wrong with the path of such a route; undefined: nothing. */
export function staticPathProblem(path: string): string | undefined {
  return /\/\{[^{}]+\+\}$/.test(path) ? undefined : 'does not end with what names the file; write it as in /{file+} or /docs/{file+}';
}
