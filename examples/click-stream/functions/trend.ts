// Clicks of each page in a minute, for minutes that begin every ten seconds. Only whole ones are shown.
import type { Context, StreamBatch, StreamOutcome, VirgaEvent } from '@virga/sdk';
import { sumsOf } from './sums.ts';

export default {
  async event({ data }: VirgaEvent<StreamBatch>, { connections }: Context): Promise<StreamOutcome> {
    const pages = sumsOf(data);
    if (data.window!.final) await connections.broadcast('dashboards', JSON.stringify({ of: 'trend', ...data.window, pages }));
    return { state: pages };
  },
};
