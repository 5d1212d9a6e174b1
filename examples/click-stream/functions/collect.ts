// Takes the clicks that a page reports, several at once. They are in the stream, on disk, when the page is answered. The page is the key:
// all clicks of one page are in one partition, so one function counts them.
import type { Context } from '@virga/sdk';

interface Click {
  page: string;
  visitor: string;
}

const CLICKS_MAX = 500;

export default {
  async fetch(request: Request, { stream }: Context): Promise<Response> {
    const clicks: unknown = await request.json().catch(() => undefined);
    if (!Array.isArray(clicks) || clicks.length === 0 || clicks.length > CLICKS_MAX || !clicks.every(isClick))
      return Response.json({ problem: `send a list of 1 to ${CLICKS_MAX} clicks, {"page": "/tea", "visitor": "…"} each` }, { status: 400 });
    await stream('clicks').appendBatch(clicks.map((click) => ({ data: click, key: click.page })));
    return Response.json({ accepted: clicks.length }, { status: 202 });
  },
};

function isClick(value: unknown): value is Click {
  const { page, visitor } = (value ?? {}) as Partial<Click>;
  return typeof page === 'string' && page.length <= 200 && page.startsWith('/') && typeof visitor === 'string' && visitor.length <= 100;
}
