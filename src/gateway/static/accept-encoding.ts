// Which coding of a file a client gets (RFC 9110, section 12.5.3). Pure.
import type { Coding, StaticFile } from './file-index.ts';

/** undefined: the file as it is. Of codings that a client likes as much, the smaller one. */
export function codingFor(header: string | undefined, file: Pick<StaticFile, Coding>): Coding | undefined {
  if (header === undefined || (file.br === undefined && file.gzip === undefined)) return undefined;
  let best: Coding | undefined;
  let bestQuality = 0;
  for (const coding of ['br', 'gzip'] as const) {
    const quality = file[coding] === undefined ? 0 : qualityOf(header, coding);
    if (quality > bestQuality) {
      best = coding;
      bestQuality = quality;
    }
  }
  return best;
}

function qualityOf(header: string, coding: Coding): number {
  let any = 0;
  for (const part of header.split(',')) {
    const [name, ...parameters] = part.split(';').map((text) => text.trim().toLowerCase());
    const isIt = name === coding || (coding === 'gzip' && name === 'x-gzip');
    if (!isIt && name !== '*') continue;
    const weight = parameters.find((text) => text.startsWith('q='));
    const quality = weight === undefined ? 1 : Number(weight.slice(2));
    const sound = quality >= 0 && quality <= 1 ? quality : 0;
    if (isIt) return sound;
    any = sound;
  }
  return any;
}
