// Paths with parameters in them, e.g. `/new/{id}`, filled in with what a request has. Used by redirect/ and rewrite/.
// Invariant: no byte of a request comes out unencoded but letters, digits and `/-_.!~*'()`.

/** Slashes of a parameter stay, all else is percent-encoded. */
export function compileTemplate(text: string): (params: Record<string, string>) => string {
  // Every second part is a name.
  const parts = text.split(/\{([^{}+]+)\+?\}/);
  return (params) => {
    let out = parts[0]!;
    for (let i = 1; i + 1 < parts.length; i += 2) out += encodedPath(params[parts[i]!] ?? '') + parts[i + 1]!;
    return out;
  };
}

function encodedPath(value: string): string {
  return encodeURIComponent(value.toWellFormed()).replaceAll('%2F', '/');
}
