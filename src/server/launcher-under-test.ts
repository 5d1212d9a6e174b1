// The launcher role as a process of its own, for launcher.integration.test.ts to kill: configuration as JSON in argv, one line on
// stdout when it serves, SIGTERM closes it.
import type { Config } from '../config/config.ts';
import { runLauncher } from './launcher.ts';

const role = await runLauncher(JSON.parse(process.argv[2]!) as Config);
process.on('SIGTERM', () => void role.close().then(() => process.exit(0)));
process.stdout.write('ready\n');
