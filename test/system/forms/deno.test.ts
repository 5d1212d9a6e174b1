// Functions of Deno: examples/deno deployed as it is.
import { testScriptRuntime } from './script-runtimes.ts';

testScriptRuntime({ runtime: 'deno', version: /^deno 2\./, missing: /Import "left-pad" not a dependency/ });
