// CloudFormation's intrinsic functions, evaluated as far as the file alone tells. Invariants: what depends on a resource, on another stack or
// on an account is `unresolved` with the reason, never a guess; secret parameters are never followed; depth and length
// are bounded. Used by template.ts, and by serverless/ for the same functions in serverless.yml.
import { isSecretName, isSecretReference } from '../secrets.ts';
import type { Resolve } from '../section.ts';
import { entryOf, isNothing, scalar, textOf, unresolved } from '../tree.ts';
import type { Call, Mapping, Place, Tree, Unresolved } from '../tree.ts';

export interface Surroundings {
  parameters: Mapping | undefined;
  mappings: Mapping | undefined;
  conditions: Mapping | undefined;
  resources: Mapping | undefined;
  /** `--param NAME=VALUE`. */
  given: ReadonlyMap<string, string>;
  /** AWS::Region and its kin, as functions see them in Virga. */
  pseudo: Readonly<Record<string, string>>;
  /** Something of the file that is evaluated before: the variables of serverless.yml. */
  before?: Resolve;
}

const DEPTH_MAX = 60;
const TEXT_MAX = 256 * 1024;
const CALLS_MAX = 200_000;

export class Intrinsics {
  readonly #around: Surroundings;
  #depth = 0;
  #calls = 0;

  constructor(around: Surroundings) {
    this.#around = around;
  }

  /** The value of a tree at its top; what is below is evaluated when it is read. */
  readonly resolve: Resolve = (tree) => {
    const plain = this.#around.before?.(tree) ?? tree;
    if (plain.kind === 'scalar' && isSecretReference(plain.text))
      return unresolved(plain.at, 'it is kept in a store of secrets', { secret: true });
    if (plain.kind !== 'call') return plain;
    if (this.#depth >= DEPTH_MAX || ++this.#calls > CALLS_MAX) return unresolved(plain.at, `!${plain.name} is nested without end`);
    this.#depth++;
    try {
      const value = this.#call(plain);
      return value.kind === 'scalar' && value.text.length > TEXT_MAX
        ? unresolved(plain.at, `!${plain.name} gives more than ${TEXT_MAX} characters`)
        : value;
    } finally {
      this.#depth--;
    }
  };

  /** Whether a resource is there; undefined: its condition cannot be known. */
  condition(name: string, at: Place): boolean | undefined {
    const tree = entryOf(this.#around.conditions, name);
    return tree === undefined || this.#depth >= DEPTH_MAX ? undefined : this.#truth(tree, at);
  }

  #call({ name, argument, at }: Call): Tree {
    switch (name) {
      case 'Ref':
        return this.#ref(textOf(this.resolve(argument)) ?? '', at);
      case 'GetAtt':
        return this.#attribute(argument, at);
      case 'Sub':
        return this.#sub(argument, at);
      case 'Join':
        return this.#join(argument, at);
      case 'Split':
        return this.#split(argument, at);
      case 'Select':
        return this.#select(argument, at);
      case 'If':
        return this.#if(argument, at);
      case 'FindInMap':
        return this.#findInMap(argument, at);
      case 'Base64':
        return mapText(this.resolve(argument), at, (text) => Buffer.from(text).toString('base64'));
      case 'Length': {
        const list = this.resolve(argument);
        return list.kind === 'list' ? scalar(list.items.length, at) : orUnresolved(list, at, '!Length is of something that is no list');
      }
      case 'Equals':
      case 'And':
      case 'Or':
      case 'Not':
      case 'Condition': {
        const truth = this.#truth({ kind: 'call', name, argument, at }, at);
        return truth === undefined ? unresolved(at, `the condition !${name} cannot be known from the file`) : scalar(truth, at);
      }
      case 'ImportValue':
        return unresolved(at, '!ImportValue is an output of another stack');
      default:
        return unresolved(at, `!${name} cannot be known from the file alone`);
    }
  }

  #ref(name: string, at: Place): Tree {
    if (name === 'AWS::NoValue') return scalar(null, at);
    const pseudo = this.#around.pseudo[name];
    if (pseudo !== undefined) return scalar(pseudo, at);
    const parameter = entryOf(this.#around.parameters, name);
    if (parameter !== undefined) return this.#parameter(name, parameter, at);
    return this.#resource(name, at, `!Ref ${name}`);
  }

  #parameter(name: string, parameter: Tree, at: Place): Tree {
    const noEcho = textOf(this.resolve(entryOf(parameter, 'NoEcho') ?? scalar(false, at)))?.toLowerCase() === 'true';
    if (noEcho || isSecretName(name)) return unresolved(at, `the parameter ${name} is a secret`, { secret: true });
    const given = this.#around.given.get(name);
    if (given !== undefined) return listed(parameter, given, at);
    const type = textOf(entryOf(parameter, 'Type')) ?? 'String';
    if (type.startsWith('AWS::SSM::'))
      return unresolved(at, `the parameter ${name} is read from AWS's Parameter Store; give it with --param ${name}=…`);
    const missing = entryOf(parameter, 'Default');
    if (missing === undefined) return unresolved(at, `the parameter ${name} has no default; give it with --param ${name}=…`);
    const text = textOf(this.resolve(missing));
    return text === undefined ? this.resolve(missing) : listed(parameter, text, at);
  }

  #resource(name: string, at: Place, shown: string): Unresolved {
    const type = textOf(entryOf(entryOf(this.#around.resources, name), 'Type'));
    if (name.startsWith('AWS::')) return unresolved(at, `${shown} is known to AWS alone`);
    if (type === undefined) return unresolved(at, `${shown} is nothing that this file declares`, { resource: name });
    return unresolved(at, `${shown} is a resource of AWS (${type})`, { resource: name });
  }

  #attribute(argument: Tree, at: Place): Tree {
    const items = argument.kind === 'list' ? argument.items.map((item) => textOf(this.resolve(item)) ?? '?') : ['?'];
    return this.#resource(items[0]!, at, `!GetAtt ${items.join('.')}`);
  }

  #sub(argument: Tree, at: Place): Tree {
    const [format, names] = argument.kind === 'list' ? argument.items : [argument];
    const text = textOf(format === undefined ? undefined : this.resolve(format));
    if (text === undefined) return orUnresolved(format && this.resolve(format), at, '!Sub has no text');
    let failure: Unresolved | undefined;
    let length = 0;
    const whole = text.replace(/\$\{(!?)([^{}]*)\}/g, (match, literal: string, inner: string) => {
      if (failure !== undefined || length > TEXT_MAX) return '';
      if (literal === '!') return `\${${inner}}`;
      const name = inner.trim();
      const own = names?.kind === 'mapping' ? names.entries.get(name)?.value : undefined;
      const value = own !== undefined ? this.resolve(own) : name.includes('.') ? this.#dotted(name, at) : this.#ref(name, at);
      const piece = value.kind === 'scalar' ? value.text : undefined;
      if (piece === undefined) failure = orUnresolved(value, at, `!Sub has \${${name}} in it, which is no text`);
      length += match.length + (piece?.length ?? 0);
      return piece ?? '';
    });
    return failure ?? scalar(whole, at);
  }

  #dotted(name: string, at: Place): Tree {
    const [resource, ...attribute] = name.split('.');
    return this.#resource(resource!, at, `\${${resource}.${attribute.join('.')}}`);
  }

  #join(argument: Tree, at: Place): Tree {
    const [separator, list] = argument.kind === 'list' ? argument.items.map((item) => this.resolve(item)) : [];
    const between = separator?.kind === 'scalar' ? separator.text : undefined;
    if (between === undefined || list?.kind !== 'list') return orUnresolved(list, at, '!Join has no list');
    const parts = list.items.map((item) => this.resolve(item)).filter((item) => !isNothing(item));
    const odd = parts.find((part) => textOf(part) === undefined);
    if (odd !== undefined) return orUnresolved(odd, at, '!Join has something in it that is no text');
    return scalar(parts.map((part) => textOf(part)).join(between), at);
  }

  #split(argument: Tree, at: Place): Tree {
    const [separator, source] = argument.kind === 'list' ? argument.items.map((item) => this.resolve(item)) : [];
    const text = textOf(source);
    const by = textOf(separator);
    if (text === undefined || by === undefined) return orUnresolved(source, at, '!Split has no text');
    return { kind: 'list', at, items: text.split(by).map((part) => scalar(part, at)) };
  }

  #select(argument: Tree, at: Place): Tree {
    const [index, list] = argument.kind === 'list' ? argument.items.map((item) => this.resolve(item)) : [];
    const number = Number(textOf(index) ?? Number.NaN);
    if (list?.kind !== 'list' || !Number.isInteger(number)) return orUnresolved(list, at, '!Select has no list');
    const item = list.items[number];
    return item === undefined ? unresolved(at, `!Select asks for item ${number} of ${list.items.length}`) : this.resolve(item);
  }

  #if(argument: Tree, at: Place): Tree {
    const [name, yes, no] = argument.kind === 'list' ? argument.items : [];
    const condition = textOf(name);
    if (condition === undefined || yes === undefined || no === undefined) return unresolved(at, '!If needs a condition and two values');
    const truth = this.condition(condition, at);
    if (truth === undefined) return unresolved(at, `the condition ${condition} cannot be known from the file`);
    return this.resolve(truth ? yes : no);
  }

  #findInMap(argument: Tree, at: Place): Tree {
    const keys = argument.kind === 'list' ? argument.items.map((item) => this.resolve(item)) : [];
    const [map, first, second] = keys.map((key) => textOf(key));
    if (map === undefined || first === undefined || second === undefined)
      return orUnresolved(
        keys.slice(0, 3).find((key) => textOf(key) === undefined),
        at,
        '!FindInMap needs a map and two keys',
      );
    const found = entryOf(entryOf(entryOf(this.#around.mappings, map), first), second) ?? entryOf(keys[3], 'DefaultValue');
    if (found === undefined) return unresolved(at, `the mapping ${map} has no ${first}.${second}`);
    return isSecretName(second) ? unresolved(at, `${map}.${first}.${second} is a secret`, { secret: true }) : this.resolve(found);
  }

  #truth(tree: Tree, at: Place): boolean | undefined {
    if (tree.kind === 'scalar') return typeof tree.value === 'boolean' ? tree.value : undefined;
    if (tree.kind !== 'call' || this.#depth >= DEPTH_MAX) return undefined;
    this.#depth++;
    try {
      const items = tree.argument.kind === 'list' ? tree.argument.items : [tree.argument];
      if (tree.name === 'Condition') return this.condition(textOf(tree.argument) ?? '', at);
      if (tree.name === 'Equals') {
        const [a, b] = items.map((item) => textOf(this.resolve(item)));
        return a === undefined || b === undefined ? undefined : a === b;
      }
      const truths = items.map((item) => this.#truth(item, at));
      if (tree.name === 'Not') return truths[0] === undefined ? undefined : !truths[0];
      if (tree.name === 'And') return truths.includes(false) ? false : truths.includes(undefined) ? undefined : true;
      if (tree.name === 'Or') return truths.includes(true) ? true : truths.includes(undefined) ? undefined : false;
      return undefined;
    } finally {
      this.#depth--;
    }
  }
}

function mapText(tree: Tree, at: Place, change: (text: string) => string): Tree {
  const text = textOf(tree);
  return text === undefined ? orUnresolved(tree, at, 'it is no text') : scalar(change(text), at);
}

/** The reason why a part is not known is the reason of the whole. */
function orUnresolved(tree: Tree | undefined, at: Place, reason: string): Unresolved {
  return tree?.kind === 'unresolved' ? { ...tree, at } : unresolved(at, reason);
}

/** Parameters of list types hold texts between commas. */
function listed(parameter: Tree, text: string, at: Place): Tree {
  const type = textOf(entryOf(parameter, 'Type')) ?? '';
  if (type !== 'CommaDelimitedList' && !type.startsWith('List<')) return scalar(text, at);
  return { kind: 'list', at, items: text.split(',').map((item) => scalar(item.trim(), at)) };
}
