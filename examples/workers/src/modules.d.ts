// What Wrangler makes known to TypeScript: files that are imported as text, and the cache.
declare module '*.html' {
  const text: string;
  export default text;
}

declare const caches: {
  default: { match(request: Request): Promise<Response | undefined>; put(request: Request, response: Response): Promise<void> };
};
