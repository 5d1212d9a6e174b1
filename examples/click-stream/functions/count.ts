// Clicks of each page in ten seconds, sent to whoever looks: while they come, and once more when the ten seconds are over.
import type { Context, StreamBatch, StreamOutcome, VirgaEvent } from '@virga/sdk';
import { sumsOf } from './sums.ts';

export default {
  async event({ data }: VirgaEvent<StreamBatch>, { connections }: Context): Promise<StreamOutcome> {
    const pages = sumsOf(data);
    await connections.broadcast('dashboards', JSON.stringify({ of: 'count', ...data.window, pages }));
    return { state: pages };
  },
};
