// Which files may be kept for ever: those whose name changes when their content does. Pure.

/** What build tools name: `app.3f2a91bc.js`, `chunk-0a1b2c3d4e.css`; a number alone is a date or a version. */
const HEX = /[.-](?=[0-9a-f]*[a-f])(?=[0-9a-f]*\d)[0-9a-f]{8,64}\.[^/]+$/;
/** Folders of which build tools own every file. */
const USUAL = ['assets', '_next/static', '_app/immutable'];
/** In those: a hash in base 64 or 36, `index-DiwrgTda.js`. */
const HASHED = /[.-][A-Za-z0-9_-]{8,}\.[^/]+$/;

/** `folders`: those of which it holds for every file; undefined: it is told from the name. */
export function isImmutable(path: string, folders: readonly string[] | undefined): boolean {
  if (folders !== undefined) return folders.some((folder) => path.startsWith(`${folder.replace(/\/$/, '')}/`));
  if (/\.html?$/.test(path)) return false;
  return HEX.test(path) || (HASHED.test(path) && USUAL.some((folder) => path.startsWith(`${folder}/`)));
}
