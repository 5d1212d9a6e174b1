// As much of a browser as the documentation page of a project asks for: elements, events, fetch. The page's own script runs in it,
// unchanged, against a real Virga. Used by openapi.test.ts.
import { createContext, Script } from 'node:vm';

export class PageElement {
  readonly name: string;
  readonly children: (PageElement | string)[] = [];
  readonly attributes = new Map<string, string>();
  value = '';
  readonly #listeners = new Map<string, ((event: object) => unknown)[]>();

  constructor(name: string) {
    this.name = name;
  }

  append(...nodes: (PageElement | string)[]): void {
    this.children.push(...nodes);
  }

  setAttribute(name: string, value: string): void {
    this.attributes.set(name, value);
  }

  getAttribute(name: string): string | null {
    return this.attributes.get(name) ?? null;
  }

  removeAttribute(name: string): void {
    this.attributes.delete(name);
  }

  addEventListener(type: string, listener: (event: object) => unknown): void {
    this.#listeners.set(type, [...(this.#listeners.get(type) ?? []), listener]);
  }

  /** Resolves when what listens is done. */
  async dispatch(type: string): Promise<void> {
    for (const listener of this.#listeners.get(type) ?? []) await listener({ preventDefault: () => {} });
  }

  get textContent(): string {
    return this.children.map((child) => (typeof child === 'string' ? child : child.textContent)).join('');
  }

  set textContent(text: string) {
    this.children.length = 0;
    this.children.push(text);
  }

  /** Itself and all below. */
  all(): PageElement[] {
    return [this, ...this.children.flatMap((child) => (typeof child === 'string' ? [] : child.all()))];
  }

  labelled(text: string): PageElement {
    const label = this.all().find((one) => one.name === 'label' && one.textContent.startsWith(text));
    return this.all().find((one) => one.getAttribute('id') === label?.getAttribute('for'))!;
  }
}

/** Runs the script of a page; resolves when it has drawn the page. */
export async function openPage(url: string, html: string): Promise<PageElement> {
  const script = /<script>([\s\S]*)<\/script>/.exec(html)![1]!;
  const byId = new Map(['title', 'about', 'source', 'operations'].map((id) => [id, new PageElement(id)]));
  byId.get('source')!.setAttribute('href', /id="source" href="([^"]*)"/.exec(html)![1]!);
  const document = { title: '', createElement: (name: string) => new PageElement(name), getElementById: (id: string) => byId.get(id) };
  const location = new URL(url);
  const globals = {
    document,
    location,
    URL,
    performance,
    encodeURIComponent,
    fetch: (to: string | URL, init?: RequestInit) => fetch(new URL(to, url), init),
  };
  await (new Script(script).runInContext(createContext(globals)) as Promise<void>);
  return byId.get('operations')!;
}
