// The variables of serverless.yml, resolved from the file itself, from files that it names, and from what the command line gives. Invariants:
// the environment of this machine is never asked, and no code is run; a variable of something secret is `unresolved`, as is one
// that only AWS knows; depth, number and length are bounded. Used by serverless.ts.
import { extname } from 'node:path';
import { ACCOUNT, REGION } from '../aws-places.ts';
import type { ImportFiles } from '../files.ts';
import type { Report } from '../report.ts';
import { isSecretName, isSecretReference } from '../secrets.ts';
import type { Resolve } from '../section.ts';
import { entryOf, isNothing, scalar, textOf, unresolved } from '../tree.ts';
import type { Mapping, Place, Tree, Unresolved } from '../tree.ts';
import { parseSource, partsOf } from './variable-syntax.ts';
import type { Part } from './variable-syntax.ts';

export interface VariableOptions {
  root: Mapping;
  files: ImportFiles;
  report: Report;
  stage: string | undefined;
  /** `--param NAME=VALUE`. */
  given: ReadonlyMap<string, string>;
}

const DEPTH_MAX = 40;
const RESOLUTIONS_MAX = 100_000;
const TEXT_MAX = 256 * 1024;

/** What keeps secrets; the others are merely elsewhere. */
const SECRET_TYPES = /^(?:ssm|secrets?manager|awsSecretsManager|vault|doppler|kms)/i;
const ELSEWHERE: Record<string, string> = {
  cf: 'an output of another stack',
  s3: 'an object in a bucket',
  git: 'of the repository',
  terraform: 'a state of Terraform',
  output: 'an output of another service',
};

export class Variables {
  readonly #options: VariableOptions;
  #depth = 0;
  #count = 0;

  constructor(options: VariableOptions) {
    this.#options = options;
  }

  /** `--stage`, else the provider's, else dev, as the Serverless Framework has it. */
  get stage(): string {
    return this.#options.stage ?? textOf(this.resolve(this.#provider('stage') ?? scalar('dev', this.#options.root.at))) ?? 'dev';
  }

  get region(): string {
    return textOf(this.resolve(this.#provider('region') ?? scalar(REGION, this.#options.root.at))) ?? REGION;
  }

  readonly resolve: Resolve = (tree) => {
    if (tree.kind !== 'scalar' || typeof tree.value !== 'string' || !tree.value.includes('${')) return tree;
    const parts = partsOf(tree.value);
    if (parts.every((part) => 'text' in part)) return tree;
    if (this.#depth >= DEPTH_MAX || ++this.#count > RESOLUTIONS_MAX)
      return unresolved(tree.at, 'its variables refer to each other without end');
    this.#depth++;
    try {
      return this.#join(parts, tree.at);
    } finally {
      this.#depth--;
    }
  };

  #provider(key: string): Tree | undefined {
    return entryOf(this.resolve(entryOf(this.#options.root, 'provider') ?? this.#options.root), key);
  }

  #join(parts: readonly Part[], at: Place): Tree {
    const [only] = parts;
    if (parts.length === 1 && 'sources' in only!) return this.#first(only.sources, at);
    let text = '';
    for (const part of parts) {
      if ('text' in part) text += part.text;
      else {
        const value = this.#first(part.sources, at);
        if (value.kind === 'unresolved') return value;
        const piece = textOf(value);
        if (piece === undefined) return unresolved(at, `the variable \${${shownSource(part.sources[0]!)}} is no text`);
        text += piece;
      }
      if (text.length > TEXT_MAX) return unresolved(at, `it becomes longer than ${TEXT_MAX} characters`);
    }
    return scalar(text, at);
  }

  /** The first source that has a value. */
  #first(sources: readonly string[], at: Place): Tree {
    for (const [index, source] of sources.entries()) {
      const value = this.#source(source, at);
      if (value !== undefined && !isNothing(value)) {
        const environment = sources.slice(0, index).find((one) => one.startsWith('env:'));
        if (environment !== undefined)
          this.#options.report.changed(at, '', `variable \${${shownSource(environment)}}`, 'is its default: the environment is not read');
        return value;
      }
      const parsed = parseSource(source);
      if (parsed !== undefined && 'literal' in parsed && parsed.literal === null) return scalar(null, at);
    }
    const [first] = sources;
    const { type = '', address = '' } = (parseSource(first!) ?? {}) as { type?: string; address?: string };
    const remedy =
      type === 'env'
        ? 'the environment is not read'
        : type === 'param' || type === 'opt'
          ? `give it with --param ${address}=…`
          : 'it has no value here';
    return unresolved(at, `the variable \${${shownSource(first!)}}: ${remedy}`, { secret: isSecretName(address) });
  }

  /** undefined: this one has no value. */
  #source(source: string, at: Place): Tree | undefined {
    const parts = partsOf(source);
    if (parts.length === 1 && 'sources' in parts[0]!) return this.#nested(() => this.#join(parts, at), at);
    const joined = this.#nested(() => this.#join(parts, at), at);
    if (joined.kind === 'unresolved') return joined;
    const parsed = parseSource(textOf(joined) ?? '');
    if (parsed === undefined) return unresolved(at, `the variable \${${shownSource(source)}} is written in a way that is not known`);
    if ('literal' in parsed) return scalar(parsed.literal, at);
    return this.#nested(() => this.#lookUp(parsed, at), at);
  }

  #nested<T extends Tree | undefined>(work: () => T, at: Place): T | Unresolved {
    if (this.#depth >= DEPTH_MAX || ++this.#count > RESOLUTIONS_MAX) return unresolved(at, 'its variables refer to each other without end');
    this.#depth++;
    try {
      return work();
    } finally {
      this.#depth--;
    }
  }

  #lookUp({ type, parameter, address }: { type: string; parameter: string | undefined; address: string }, at: Place): Tree | undefined {
    const { report, given } = this.#options;
    if (SECRET_TYPES.test(type)) return unresolved(at, `\${${type}:…} is kept in a store of secrets`, { secret: true });
    switch (type) {
      case 'self':
        return this.#guarded(address, this.#self(address, at), at);
      case 'opt':
        if (address === 'stage' && this.#options.stage !== undefined) return scalar(this.#options.stage, at);
        return this.#guarded(address, textTree(given.get(address), at), at);
      case 'sls':
        return address === 'stage' ? scalar(this.stage, at) : unresolved(at, `\${sls:${address}} differs with each deployment`);
      case 'aws':
        if (address === 'region') return scalar(this.region, at);
        if (address === 'accountId') {
          report.changed(at, '', '${aws:accountId}', `is ${ACCOUNT}: Virga has no accounts`);
          return scalar(ACCOUNT, at);
        }
        return undefined;
      case 'env': {
        const value = given.get(address);
        return this.#guarded(address, textTree(value, at), at);
      }
      case 'param':
        return this.#guarded(address, textTree(given.get(address), at) ?? this.#stageParameter(address), at);
      case 'file':
        return this.#guarded(address, this.#file(parameter ?? '', address, at), at);
      case 'strToBool':
        return scalar(/^(?:true|1)$/i.test(parameter ?? ''), at);
      default:
        return unresolved(at, `\${${type}:…} is ${ELSEWHERE[type] ?? 'of a plugin'}, which an import does not ask`);
    }
  }

  /** What is called like a secret is one, whatever it is put into. */
  #guarded(address: string, value: Tree | undefined, at: Place): Tree | undefined {
    const last = address.split('.').at(-1)!;
    if (value === undefined || value.kind !== 'scalar' || value.value === null) return value;
    if (isSecretName(last) || isSecretReference(value.text)) return unresolved(at, `\${…${last}} is a secret`, { secret: true });
    return value;
  }

  #self(address: string, at: Place): Tree | undefined {
    const { root } = this.#options;
    if (address === 'provider.stage') return scalar(this.stage, at);
    if (address === 'provider.region') return scalar(this.region, at);
    const found = this.#under(root, address);
    return address === 'service' && found?.kind === 'mapping' ? entryOf(found, 'name') : found;
  }

  #stageParameter(name: string): Tree | undefined {
    const { root } = this.#options;
    for (const stage of [this.stage, 'default']) {
      const own = this.#under(root, `params.${stage}.${name}`) ?? this.#under(root, `stages.${stage}.params.${name}`);
      if (own !== undefined) return own;
    }
    return undefined;
  }

  #file(path: string, address: string, at: Place): Tree | undefined {
    const { files } = this.#options;
    const plain = path.replace(/^['"]|['"]$/g, '').replace(/^~(?=\/)/, '');
    const extension = extname(plain).toLowerCase();
    if (/^\.[cm]?[jt]s$/.test(extension)) return unresolved(at, `the file ${plain} is code, which an import does not run`);
    const normal = files.normal(plain);
    if (normal === undefined || !files.isFile(normal)) return undefined;
    if (!['.yml', '.yaml', '.json', '.jsonc', '.toml'].includes(extension))
      return address === '' ? scalar(files.text(normal).trimEnd(), at) : undefined;
    const tree = files.tree(normal);
    return address === '' ? this.resolve(tree) : this.#under(tree, address);
  }

  /** Steps into a tree; variables on the way are resolved. */
  #under(tree: Tree, address: string): Tree | undefined {
    let here: Tree | undefined = tree;
    for (const step of address === '' ? [] : address.split('.')) {
      here = this.resolve(here);
      if (here.kind === 'unresolved') return here;
      here = here.kind === 'list' ? here.items[Number(step)] : entryOf(here, step);
      if (here === undefined) return undefined;
    }
    return this.resolve(here);
  }
}

function textTree(value: string | undefined, at: Place): Tree | undefined {
  return value === undefined ? undefined : scalar(value, at);
}

/** Without what may be a secret: literals are not shown. */
function shownSource(source: string): string {
  const [type = '', ...rest] = source.split(':');
  return /^['"]/.test(source) || source.includes('${') ? '…' : [type, ...rest].join(':').slice(0, 100);
}
