// Takes sales by HTTP, and reports on them when a schedule is due. Everything is in the memory of this one instance (virga.yaml allows only
// one), so it lasts as long as that does: until the next deploy, or until Virga stops.
import type { Context, ScheduleDue, VirgaEvent, WebFunction } from '@virga/sdk';

interface Sale {
  at: number;
  item: string;
  cents: number;
}

interface Report {
  title: string;
  /** In the time zone of the schedule. */
  from: string;
  to: string;
  sales: number;
  cents: number;
  /** What was sold most. */
  best: string | null;
}

const SALES_MAX = 100_000;
const REPORTS_MAX = 1_000;

const sales: Sale[] = [];
const reports: Report[] = [];
/** By title: up to when sales were reported. */
const reported = new Map<string, number>();

export default {
  async fetch(request: Request): Promise<Response> {
    if (request.method === 'GET') return Response.json(reports);
    const { item, cents } = (await request.json()) as Partial<Sale>;
    if (typeof item !== 'string' || !Number.isSafeInteger(cents)) return problem(400, 'a sale has an item and whole cents');
    if (sales.length >= SALES_MAX) return problem(503, 'the drawer is full');
    sales.push({ at: Date.now(), item, cents: cents! });
    return new Response(null, { status: 201 });
  },

  event({ data }: VirgaEvent<ScheduleDue>, context: Context): void {
    // `input` of the trigger.
    const { title } = data.input as { title: string };
    const from = reported.get(title) ?? sales[0]?.at ?? data.dueAt;
    // An event may come again, when an answer was lost: a time that was reported is not reported twice.
    if (reported.has(title) && data.dueAt <= from) return;
    const report = sumUp(
      title,
      sales.filter(({ at }) => at >= from && at < data.dueAt),
      { from, to: data.dueAt, timezone: data.timezone },
    );
    reports.push(report);
    if (reports.length > REPORTS_MAX) reports.shift();
    reported.set(title, data.dueAt);
    context.log.info(`report ${title}: ${report.sales} sales, ${report.cents / 100} EUR`);
  },
} satisfies WebFunction;

function sumUp(title: string, of: Sale[], { from, to, timezone }: { from: number; to: number; timezone: string }): Report {
  const byItem = new Map<string, number>();
  for (const { item } of of) byItem.set(item, (byItem.get(item) ?? 0) + 1);
  const best = [...byItem].toSorted(([, a], [, b]) => b - a)[0]?.[0] ?? null;
  const text = (unixMs: number): string => new Date(unixMs).toLocaleString('sv-SE', { timeZone: timezone });
  return { title, from: text(from), to: text(to), sales: of.length, cents: of.reduce((sum, { cents }) => sum + cents, 0), best };
}

function problem(status: number, message: string): Response {
  return Response.json({ error: message }, { status });
}
