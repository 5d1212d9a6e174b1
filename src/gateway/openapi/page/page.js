// The documentation page of a project, in a browser: reads the OpenAPI document beside it, lists its operations, and makes calls of what
// is typed into their forms. Invariant: everything of the document goes into the page as text, never as markup, and nothing is asked of
// any other host. Served by ../docs-page.ts inside page.html.
(async () => {
  const SCHEMA_DEPTH_MAX = 8;
  const METHODS = ['get', 'put', 'post', 'delete', 'options', 'head', 'patch'];
  const byId = (id) => document.getElementById(id);
  const main = byId('operations');

  const element = (name, attributes = {}, ...children) => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  };

  const source = byId('source').getAttribute('href');
  let api;
  try {
    const answer = await fetch(source);
    if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
    api = await answer.json();
  } catch (error) {
    main.setAttribute('aria-busy', 'false');
    main.append(element('p', { role: 'alert' }, `The document could not be read: ${error.message}`));
    return;
  }

  const resolved = (value) => {
    let at = value;
    for (let steps = 0; typeof at?.$ref === 'string' && steps < 20; steps++) {
      const tokens = at.$ref.slice(2).split('/');
      at = tokens.reduce((one, token) => one?.[decodeURIComponent(token).replaceAll('~1', '/').replaceAll('~0', '~')], api);
    }
    return at;
  };

  /** Something that the schema may take, to begin with. */
  const exampleOf = (given, depth = 0) => {
    const target = resolved(given);
    if (typeof target !== 'object' || target === null || depth > SCHEMA_DEPTH_MAX) return null;
    // What stands beside a reference comes first.
    const schema = { ...target, ...given };
    for (const key of ['example', 'default', 'const']) if (schema[key] !== undefined) return schema[key];
    if (schema.examples?.length > 0) return schema.examples[0];
    if (schema.enum !== undefined) return schema.enum[0];
    const part = schema.oneOf?.[0] ?? schema.anyOf?.[0];
    if (part !== undefined) return exampleOf(part, depth + 1);
    const type = [schema.type].flat()[0] ?? (schema.properties === undefined ? undefined : 'object');
    if (type === 'object') {
      const names = Object.keys(schema.properties ?? {}).filter((name) => depth < 2 || schema.required?.includes(name));
      return Object.fromEntries(names.map((name) => [name, exampleOf(schema.properties[name], depth + 1)]));
    }
    if (type === 'array') return schema.minItems > 0 || depth === 0 ? [exampleOf(schema.items, depth + 1)] : [];
    return { string: '', integer: schema.minimum ?? 0, number: schema.minimum ?? 0, boolean: false }[type] ?? null;
  };

  /** Path, query and headers of what is typed; empty fields are left out. */
  const requestOf = (path, parameters, valueOf) => {
    let target = path.slice(1);
    const query = [];
    const headers = {};
    for (const parameter of parameters) {
      const text = valueOf(parameter);
      const list = [resolved(parameter.schema)?.type].flat().includes('array');
      if (parameter.in === 'path') {
        const encoded = parameter['x-virga-rest'] ? text.split('/').map(encodeURIComponent).join('/') : encodeURIComponent(text);
        target = target.replace(`{${parameter.name}}`, () => encoded);
      } else if (text !== '' && parameter.in === 'query') {
        const values = list && parameter.explode !== false ? text.split(',') : [text];
        for (const value of values) query.push(`${encodeURIComponent(parameter.name)}=${encodeURIComponent(value)}`);
      } else if (text !== '' && parameter.in === 'header') headers[parameter.name] = text;
    }
    return { target: query.length === 0 ? target : `${target}?${query.join('&')}`, query, headers };
  };

  const credentials = new Map();

  const credentialsForm = () => {
    const schemes = Object.entries(api.components?.securitySchemes ?? {}).filter(([, scheme]) =>
      ['apiKey', 'http', 'oauth2', 'openIdConnect'].includes(scheme.type),
    );
    if (schemes.length === 0) return [];
    const fields = schemes.flatMap(([name, scheme], index) => {
      const input = element('input', { id: `credential-${index}`, type: 'password', autocomplete: 'off', spellcheck: 'false' });
      input.addEventListener('input', () => credentials.set(name, input.value));
      const where = scheme.type === 'apiKey' ? `${scheme.in} ${scheme.name}` : 'bearer token';
      return [
        element('label', { for: `credential-${index}` }, `${name} (${where}) `, element('small', {}, scheme.description ?? '')),
        input,
      ];
    });
    return [
      element(
        'section',
        { 'aria-labelledby': 'credentials' },
        element('h2', { id: 'credentials' }, 'Who calls'),
        element('p', {}, 'Kept in this page alone, until it is left.'),
        ...fields,
      ),
    ];
  };

  const authorize = (security, { query, headers }) => {
    const met = (security ?? []).find((one) => Object.keys(one).every((name) => credentials.get(name)));
    for (const name of Object.keys(met ?? {})) {
      const scheme = api.components.securitySchemes[name];
      const value = credentials.get(name);
      if (scheme.type !== 'apiKey') headers.authorization = `Bearer ${value}`;
      else if (scheme.in === 'header') headers[scheme.name] = value;
      else if (scheme.in === 'query') query.push(`${encodeURIComponent(scheme.name)}=${encodeURIComponent(value)}`);
    }
  };

  const shown = (text, type) => {
    if (!/json/.test(type)) return text;
    try {
      return JSON.stringify(JSON.parse(text), undefined, 2);
    } catch {
      return text;
    }
  };

  const send = async ({ method, path, parameters, operation, fields, body, type }) => {
    const { target, query, headers } = requestOf(path, parameters, (parameter) => fields.get(parameter).value);
    authorize(operation.security ?? api.security, { query, headers });
    const base = new URL(api.servers?.[0]?.url ?? './', new URL(source, location.href));
    const url = new URL(base);
    url.pathname = base.pathname.replace(/\/?$/, '/') + target.split('?', 1)[0];
    url.search = query.join('&');
    const text = body?.value ?? '';
    if (text !== '') headers['content-type'] = type.value;
    const from = performance.now();
    const answer = await fetch(url, { method: method.toUpperCase(), headers, ...(text === '' ? {} : { body: text }) });
    const answered = await answer.text();
    const lines = [
      `${answer.status} ${answer.statusText} (${Math.round(performance.now() - from)} ms)`,
      `${method.toUpperCase()} ${url.href}`,
      '',
    ];
    for (const [name, value] of answer.headers) lines.push(`${name}: ${value}`);
    return [...lines, '', shown(answered, answer.headers.get('content-type') ?? '')].join('\n');
  };

  let count = 0;
  const operationOf = (path, method, operation, shared) => {
    const id = `operation-${count++}`;
    const parameters = [...shared, ...(operation.parameters ?? [])].map(resolved);
    const fields = new Map();
    const form = element('form', { id });
    parameters.forEach((parameter, index) => {
      const field = `${id}-${index}`;
      const schema = resolved(parameter.schema) ?? {};
      const hint = [parameter.in, [schema.type].flat().join(' or '), parameter.required ? 'required' : '', parameter.description]
        .filter(Boolean)
        .join(', ');
      const input = element('input', { id: field, autocomplete: 'off', ...(parameter.required ? { required: '' } : {}) });
      const example = parameter.example ?? schema.examples?.[0] ?? schema.default;
      input.value = example === undefined ? '' : String(example);
      fields.set(parameter, input);
      form.append(element('label', { for: field }, `${parameter.name} `, element('small', {}, hint)), input);
    });
    const content = Object.entries(resolved(operation.requestBody)?.content ?? {});
    let body;
    let type;
    if (content.length > 0) {
      type = element('select', { id: `${id}-type` }, ...content.map(([name]) => element('option', { value: name }, name)));
      type.value = content[0][0];
      body = element('textarea', { id: `${id}-body`, spellcheck: 'false' });
      const media = content[0][1];
      const example = media.example ?? Object.values(media.examples ?? {})[0]?.value ?? exampleOf(media.schema);
      body.value = media.schema === undefined && example === null ? '' : JSON.stringify(example, undefined, 2);
      const schema = element(
        'details',
        {},
        element('summary', {}, 'Schema'),
        element('pre', {}, JSON.stringify(resolved(media.schema) ?? {}, undefined, 2)),
      );
      form.append(
        element('label', { for: `${id}-type` }, 'Content type'),
        type,
        element('label', { for: `${id}-body` }, 'Body'),
        body,
        schema,
      );
    }
    const output = element('pre', { role: 'status', 'aria-live': 'polite', 'aria-label': 'Answer', tabindex: '0', hidden: '' });
    const button = element('button', { type: 'submit' }, 'Send');
    form.append(button, output);
    form.addEventListener('submit', async (event) => {
      event.preventDefault();
      output.removeAttribute('hidden');
      output.textContent = 'Sending…';
      try {
        output.textContent = await send({ method, path, parameters, operation, fields, body, type });
      } catch (error) {
        output.textContent = `The call could not be made: ${error.message}`;
      }
    });
    const title = element('code', operation.deprecated ? { class: 'gone' } : {}, `${method.toUpperCase()} ${path}`);
    const about = operation.description === undefined ? [] : [element('p', {}, operation.description)];
    const answers = Object.entries(operation.responses ?? {}).map(([status, one]) =>
      element('li', {}, `${status}: ${resolved(one)?.description ?? ''}`),
    );
    return element(
      'details',
      {},
      element('summary', {}, title, ` ${operation.summary ?? ''}${operation.deprecated ? ' (deprecated)' : ''}`),
      ...about,
      form,
      element('details', {}, element('summary', {}, 'Answers'), element('ul', {}, ...answers)),
    );
  };

  document.title = `${api.info.title} ${api.info.version}`;
  byId('title').textContent = document.title;
  byId('about').textContent = api.info.description ?? '';
  const groups = new Map();
  for (const [path, item] of Object.entries(api.paths ?? {})) {
    for (const method of METHODS.filter((name) => item[name] !== undefined)) {
      const group = item[method].tags?.[0] ?? '';
      if (!groups.has(group)) groups.set(group, []);
      groups.get(group).push(operationOf(path, method, item[method], item.parameters ?? []));
    }
  }
  main.append(...credentialsForm());
  for (const [group, operations] of [...groups].sort(([a], [b]) => (a < b ? -1 : 1)))
    main.append(element('section', {}, element('h2', {}, group || 'Operations'), ...operations));
  main.setAttribute('aria-busy', 'false');
})().catch((error) => {
  document.getElementById('operations').textContent = `The page could not be drawn: ${error.message}`;
});
