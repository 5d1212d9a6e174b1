// Functions of Bun: examples/bun deployed as it is.
import { testScriptRuntime } from './script-runtimes.ts';

testScriptRuntime({ runtime: 'bun', version: /^bun 1\./, missing: /Cannot find package 'left-pad'/ });
