// Whoever opens the dashboard is in the group that the counts are sent to.
import type { SocketEvent, SocketReply } from '@virga/sdk';

export function handler({ type }: SocketEvent): SocketReply | undefined {
  return type === 'virga.websocket.connect' ? { groups: ['dashboards'] } : undefined;
}
