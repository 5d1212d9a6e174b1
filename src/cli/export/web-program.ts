// A program that serves HTTP, on AWS Lambda: a script starts it, and the AWS Lambda Web Adapter, a layer that AWS publishes, stands
// between it and Lambda (https://github.com/awslabs/aws-lambda-web-adapter). Invariant: the program is started in its folder with PORT,
// as in Virga. Used by function-code.ts.
import { posix } from 'node:path';
import { VirgaError } from '../../protocol/errors.ts';
import type { ArtifactEntry } from '../build/archive.ts';
import type { FunctionParts } from '../build/build.ts';
import type { FunctionReport } from './export-report.ts';
import { NODE_RUNTIME, PROGRAM_RUNTIME, pythonRuntime } from './lambda-runtimes.ts';
import type { LambdaCode } from './lambda-runtimes.ts';

const PORT = '8080';
/** The adapter begins once the port is open, as Virga does, and gives other events to the same path. */
const ADAPTER = { AWS_LWA_PORT: PORT, AWS_LWA_READINESS_CHECK_PROTOCOL: 'tcp', AWS_LWA_PASS_THROUGH_PATH: '/' };
const WRAPPER = { AWS_LAMBDA_EXEC_WRAPPER: '/opt/bootstrap' };

export function webProgram({ fn, entries, handler: found }: FunctionParts, report: FunctionReport): LambdaCode {
  const file = found.split('#', 1)[0]!;
  const command = fn.settings.command ?? commandOf(file);
  const language = languageOf(command);
  // Lambda's own runtimes run the handler as a script, through the wrapper; without one of those `bootstrap` is what is run.
  const script = language === 'other' ? 'bootstrap' : 'run.sh';
  if (entries.some(({ path }) => path === script))
    throw new VirgaError('build_failed', `${script} has the name of the script that an export needs; rename the file`);
  const runtime = language === 'nodejs' ? NODE_RUNTIME : language === 'python' ? pythonRuntime(entries, report) : PROGRAM_RUNTIME;
  report.changed(
    'runtime',
    'runtime web',
    `runs on ${runtime} behind the AWS Lambda Web Adapter: give the ARN of its layer as the parameter WebAdapterLayer`,
  );
  if (language === 'python')
    report.changed('', 'Python packages of the node', 'are not at AWS: what the program imports has to be in requirements.txt');
  return {
    runtime,
    handler: script,
    entries: [...entries, { path: script, content: Buffer.from(scriptOf(command)), executable: true } satisfies ArtifactEntry],
    variables: { ...(language === 'other' ? {} : WRAPPER), ...ADAPTER },
    original: { runtime: 'web', form: 'native', handler: script },
    webAdapter: true,
    streams: false,
  };
}

function commandOf(file: string): string[] {
  const extension = posix.extname(file);
  if (/^\.[cm]?[jt]s$/.test(extension)) return ['node', file];
  return extension === '.py' ? ['python3', file] : [`./${file}`];
}

/** Of a command for the shell its first word counts. */
function languageOf(command: readonly string[]): 'nodejs' | 'python' | 'other' {
  const [program, dashC, line = ''] = command;
  const word = program === '/bin/sh' && dashC === '-c' ? (/^(?:exec )?(\S+)/.exec(line)?.[1] ?? '') : program!;
  if (/^(?:node|npm|npx)$|^node_modules\/\.bin\//.test(word)) return 'nodejs';
  return /^python3?$/.test(word) ? 'python' : 'other';
}

function scriptOf(command: readonly string[]): string {
  return `#!/bin/sh
cd "$(dirname "$0")" || exit 1
export PORT="\${PORT:-${PORT}}"
export PATH="$PWD/node_modules/.bin:$PATH"
export PYTHONPATH="$PWD/.packages\${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
exec ${command.map(quoted).join(' ')}
`;
}

function quoted(word: string): string {
  return /^[\w./=:@%+,-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
