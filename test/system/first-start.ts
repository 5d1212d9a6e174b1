// Starts a Virga on a new data folder, and stops it: what that leaves is what most tests begin with (newDataFolder in virga.ts,
// startTestPostgres). Run by scripts/test.ts.
//   first-start.ts <data folder>
import { startVirga } from './virga.ts';

const virga = await startVirga({ dataFolder: process.argv[2]! });
await virga.stop();
