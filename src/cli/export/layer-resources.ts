// Layers as AWS::Serverless::LayerVersion, each with a zip of its own, shared by the functions that name it. Invariant: what code finds
// under /opt in Virga it finds there at AWS: also what its own files bring under opt/. Used by export-lambda.ts.
import type { ArtifactEntry } from '../build/archive.ts';
import type { FunctionParts } from '../build/build.ts';
import type { FunctionReport } from './export-report.ts';
import type { LogicalIds } from './logical-ids.ts';

/** At AWS a function has so many layers. */
const LAYERS_MAX = 5;
const OPT = 'opt/';

export interface LayerResource {
  id: string;
  path: string;
}

export class LayerResources {
  readonly resources: LayerResource[] = [];
  readonly zips = new Map<string, ArtifactEntry[]>();
  readonly #known = new Map<string, LayerResource>();
  readonly #ids: LogicalIds;

  constructor(ids: LogicalIds) {
    this.#ids = ids;
  }

  /** References to the layers of a function, in order. */
  of({ fn, layers, entries }: FunctionParts, report: FunctionReport): { Ref: string }[] {
    const references = fn.layers.map((layer, index) => {
      report.carried('layers', `layer ${layer}`);
      return { Ref: (this.#known.get(layer) ?? this.#add(layer, layers.contents[index]!)).id };
    });
    const own = entries.filter(({ path }) => path.startsWith(OPT));
    if (own.length > 0) {
      const { id, path } = this.#add(`${fn.name}-opt`, own);
      references.push({ Ref: id });
      report.changed('source', 'files under opt/', `are a layer, ${path}, so that they are under /opt`);
    }
    if (references.length > LAYERS_MAX)
      report.left(
        'layers',
        `${references.length} layers`,
        `AWS takes ${LAYERS_MAX} for a function; put the content of some into one folder`,
      );
    return references;
  }

  #add(layer: string, entries: readonly ArtifactEntry[]): LayerResource {
    const name = layer.replace(/\.zip$/, '').replace(/^layers\//, '');
    const id = this.#ids.of(name, 'Layer');
    const resource = { id, path: `layers/${id.replace(/Layer$/, '')}.zip` };
    this.zips.set(
      resource.path,
      entries.map((entry) => ({ ...entry, path: entry.path.slice(OPT.length) })),
    );
    this.resources.push(resource);
    this.#known.set(layer, resource);
    return resource;
  }
}
