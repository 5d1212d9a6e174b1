// A function of Azure's model v3 (a folder with function.json), which Virga does not run: its triggers and bindings, by line, with the
// call of the v4 model that takes their place. Used by azure.ts.
import type { ImportFiles } from '../files.ts';
import { kebabName } from '../project.ts';
import type { ImportedProject } from '../project.ts';
import type { Report } from '../report.ts';
import { entryOf, textOf } from '../tree.ts';
import type { Tree } from '../tree.ts';

const V4: Record<string, string> = {
  httpTrigger: 'app.http(…)',
  timerTrigger: 'app.timer(…)',
  queueTrigger: 'app.storageQueue(…)',
  blobTrigger: 'app.storageBlob(…)',
  serviceBusTrigger: 'app.serviceBusQueue(…), which has no source in Virga yet',
  eventHubTrigger: 'app.eventHub(…), which has no source in Virga',
  eventGridTrigger: 'app.eventGrid(…), which has no source in Virga yet',
  cosmosDBTrigger: 'app.cosmosDB(…), which has no source in Virga',
};

export function olderFunctionsOf(
  folder: string,
  files: ImportFiles,
  { report, project }: { report: Report; project: ImportedProject },
): void {
  const file = `${folder}/function.json`;
  const tree = files.tree(file);
  const name = kebabName(folder);
  const bindings = entryOf(tree, 'bindings');
  const why = 'it is of the model v3, which Virga does not run; write it in the model v4 of @azure/functions, and import again';
  report.left(tree.at, name, `function ${folder}`, why);
  const script = tree.kind === 'mapping' ? tree.entries.get('scriptFile') : undefined;
  if (script !== undefined)
    report.left(script.at, name, `scriptFile ${textOf(script.value) ?? ''}`, 'its code becomes the handler of the v4 call');
  for (const binding of bindings?.kind === 'list' ? bindings.items : []) describe(binding, name, report);
  project.absent.push({ name, why });
}

function describe(binding: Tree, name: string, report: Report): void {
  const type = textOf(entryOf(binding, 'type')) ?? 'unknown';
  const call = V4[type];
  if (call !== undefined) {
    const methods = entryOf(binding, 'methods');
    const route = textOf(entryOf(binding, 'route'));
    const verbs = methods?.kind === 'list' ? methods.items.map((item) => textOf(item)?.toUpperCase() ?? '').join(',') : '';
    const level = textOf(entryOf(binding, 'authLevel')) ?? 'function';
    const guard =
      type === 'httpTrigger' && level !== 'anonymous' ? `; it was behind a key (authLevel ${level}), which Virga does not have` : '';
    report.left(binding.at, name, [type, verbs, route ?? ''].filter((part) => part !== '').join(' '), `is ${call} in the model v4${guard}`);
  } else if (type !== 'http') {
    const direction = textOf(entryOf(binding, 'direction')) ?? 'in';
    report.left(binding.at, name, `${type} (${direction})`, 'Virga has no bindings; read or write it in the code');
  }
}
