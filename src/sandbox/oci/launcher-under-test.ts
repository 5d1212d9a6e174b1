// A process that opens the driver and starts one container, for launcher-dies.integration.test.ts to kill: options as JSON in
// argv, what the container writes on stdout.
import { trialLaunch } from '../contained-sandbox.ts';
import { OciDriver, type OciOptions } from './oci.ts';

const driver = await OciDriver.open(JSON.parse(process.argv[2]!) as OciOptions);
const launch = { ...trialLaunch(['/bin/sh', '-c', 'echo up; (setsid sleep 1000 &) ; sleep 1000'], null), id: 'sbx_1' };
const sink = { write: (text: string) => process.stdout.write(text), onceWelcome: (resume: () => void) => resume() };
const { exited } = await driver.start(launch, 'ignore', sink);
await exited;
