// A room is a group of connections. Who comes gives a name in the query, and is told apart by the state that the gateway keeps.
import type { Context, SocketEvent, SocketReply } from '@virga/sdk';

interface Guest {
  name: string;
}

export async function handler(event: SocketEvent<Guest>, context: Context): Promise<SocketReply | undefined> {
  const { data } = event;
  const room = data.params['room']!;
  const say = async (message: object): Promise<{ sent: number }> =>
    await context.connections.broadcast(room, JSON.stringify(message), { except: data.connectionId });

  switch (event.type) {
    case 'virga.websocket.connect': {
      const name = event.data.query['name']?.slice(0, 40);
      if (name === undefined || name === '') return { status: 400, body: 'say who you are: ?name=…' };
      await say({ joined: name });
      return { groups: [room], state: { name }, send: JSON.stringify({ welcome: name, room }) };
    }
    case 'virga.websocket.message': {
      const { sent } = await say({ from: data.state!.name, text: event.data.text });
      return { send: JSON.stringify({ heardBy: sent }) };
    }
    case 'virga.websocket.disconnect':
      await say({ left: data.state!.name });
      return undefined;
  }
}
