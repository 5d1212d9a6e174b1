// Makes thumbnails: POST a picture, get a WebP. sharp is native code; `virga deploy` carries it along as files.
//   curl --data-binary @examples/tour/data/photo.jpg -H 'content-type: image/jpeg' 'http://tour.localhost:8080/thumbnail?width=320' > thumb.webp
import type { WebFunction } from '@virga/sdk';
import sharp from 'sharp';

const TYPES = ['image/jpeg', 'image/png', 'image/webp', 'image/gif', 'image/tiff', 'image/avif'];
const WIDTH = { min: 1, max: 2_000, default: 320 };
const BYTES_MAX = 20 * 1024 * 1024;
/** A small file can unfold to gigabytes of pixels; 50 million is a large photo. */
const PIXELS_MAX = 50_000_000;

sharp.cache(false); // each picture is seen once
sharp.concurrency(1); // one call at a time per instance; instances are how this scales

export default {
  async fetch(request: Request): Promise<Response> {
    const type = request.headers.get('content-type')?.split(';')[0]?.trim().toLowerCase() ?? '';
    if (!TYPES.includes(type)) return problem(415, `the content type is '${type}'; expected one of ${TYPES.join(', ')}`);
    const asked = new URL(request.url).searchParams.get('width') ?? String(WIDTH.default);
    const width = /^\d{1,5}$/.test(asked) ? Number(asked) : Number.NaN;
    if (!(width >= WIDTH.min && width <= WIDTH.max))
      return problem(422, `width is '${asked}'; expected a whole number from ${WIDTH.min} to ${WIDTH.max}`);
    const picture = Buffer.from(await request.arrayBuffer());
    if (picture.length > BYTES_MAX) return problem(413, `the picture has ${picture.length} bytes; at most ${BYTES_MAX} are taken`);
    try {
      const { data, info } = await sharp(picture, { limitInputPixels: PIXELS_MAX, failOn: 'error' })
        .autoOrient()
        .resize({ width, withoutEnlargement: true })
        .webp({ quality: 80 })
        .toBuffer({ resolveWithObject: true });
      console.log(`${picture.length} bytes of ${type} became ${data.length} bytes of ${info.width}×${info.height} WebP`);
      return new Response(new Uint8Array(data), {
        headers: { 'content-type': 'image/webp', 'x-picture-size': `${info.width}x${info.height}` },
      });
    } catch (error) {
      return problem(422, `this is not a picture that can be read: ${(error as Error).message}`);
    }
  },
} satisfies WebFunction;

function problem(status: number, message: string): Response {
  return Response.json({ error: message }, { status });
}
