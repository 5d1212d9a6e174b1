/** At most so many characters of it, none of which a database in UTF-8 refuses: what functions throw may hold NUL, and a cut half a character. */
export function storableText(text: string, charactersMax: number): string {
  return text
    .slice(0, charactersMax)
    .replace(/[\ud800-\udbff]$/, '')
    .replaceAll('\0', '\ufffd')
    .toWellFormed();
}
