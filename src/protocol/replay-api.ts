// What the control API says of recordings and replays, as types: the server (src/control, whose schemas are checked against it) and the
// client (sdk/src/control.ts) share them. Times are ISO 8601 in UTC.

/** Text where it is UTF-8, else base64. */
export interface ReplayResult {
  status: number;
  /** Name, value, name, value… */
  headers: string[];
  contentType: string;
  text?: string | undefined;
  base64?: string | undefined;
  /** The body was longer. */
  truncated: boolean;
}

export interface RecordingItem {
  id: string;
  /** `queue/orders`, `topic/prices`, `route/notes/{id}`. */
  source: string;
  at: string;
  expiresAt: string;
  /** Of a request: what answered. */
  function: string | null;
  version: number | null;
  /** e.g. `POST /orders`; of an event its subject. */
  summary: string | null;
  /** Of a request. */
  status: number | null;
  /** By function: what became of the delivery of an event. */
  outcomes: Record<string, { state: 'done' | 'failed' | 'dead'; at: string; error?: string | undefined }>;
  /** What was left out, e.g. `header.cookie`. */
  redacted: string[];
}

export interface RecordingDetail extends RecordingItem {
  request: {
    method?: string | undefined;
    url?: string | undefined;
    headers?: string[] | undefined;
    attributes?: Record<string, string> | undefined;
    contentType?: string | undefined;
    text?: string | undefined;
    base64?: string | undefined;
  };
  answer: ReplayResult | null;
}

export interface ReplayRequest {
  /** Of a recorded event or request, a dead letter, a message that waits, or an asynchronous invocation; of a record of a stream its place, `clicks/0:17`. */
  id: string;
  /** Default: the one that is served. */
  version?: number | undefined;
  /** Which, where several functions got it. */
  function?: string | undefined;
  /** Which, where it passed several places. */
  source?: string | undefined;
  /** Compare the answer with the recorded one, or else with that of the version that is served, which is run too. */
  diff?: boolean | undefined;
}

/** `before` or `after` is missing where it was, or is, not there. */
export type Difference = { at: string; before?: unknown; after?: unknown } | { at: string; /** As `diff -u` has them. */ lines: string[] };

export interface ReplayRun {
  version: number | null;
  /** Its record. */
  invocation: string | null;
  result: ReplayResult | null;
  error: { code: string; message: string } | null;
}

export interface ReplayAnswer extends ReplayRun {
  id: string;
  source: string;
  function: string;
  /** What the function did not get, since it was not kept. */
  redacted: string[];
  /** What it was compared with; null: nothing was asked to be compared. */
  compared: (ReplayRun & { with: 'recorded' | 'served' }) | null;
  differences: Difference[] | null;
}
