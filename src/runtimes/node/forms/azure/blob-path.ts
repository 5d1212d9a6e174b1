// The path of a blob trigger: `container/{name}`, `images/{folder}/{name}.{extension}`. Invariant: what a path binds here it binds
// on Azure: the container compares as it is, a parameter takes any text, slashes included. Pure; called by events.ts.
//
// learn.microsoft.com/azure/azure-functions/functions-bindings-storage-blob-trigger (blob name patterns)

/** The values of the parameters; undefined when the blob is another. */
export function bindBlobPath(
  template: string,
  { container, name }: { container: string; name: string },
): Record<string, string> | undefined {
  const names: string[] = [];
  const slash = template.indexOf('/');
  // A container alone means all its blobs.
  const whole = slash === -1 ? `${template}/{name}` : template;
  let pattern = '';
  let at = 0;
  // Doubled braces stand for themselves.
  for (const found of whole.matchAll(/\{\{|\}\}|\{([^{}]+)\}/g)) {
    pattern += RegExp.escape(whole.slice(at, found.index));
    at = found.index + found[0].length;
    if (found[1] === undefined) pattern += RegExp.escape(found[0][0]!);
    else {
      names.push(found[1]);
      pattern += '(.+)';
    }
  }
  pattern += RegExp.escape(whole.slice(at));
  const values = new RegExp(`^${pattern}$`, 's').exec(`${container}/${name}`);
  return values === null ? undefined : Object.fromEntries(names.map((parameter, i) => [parameter, values[i + 1]!]));
}
