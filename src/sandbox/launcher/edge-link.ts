// One connection of an edge to the launcher: lines in, lines out. Output of sandboxes waits for the edge (backpressure);
// answers and ends do not, their number being bounded by the sandboxes.
// Invariant: a malformed line ends the connection. Owned by service.ts.
import type { Socket } from 'node:net';
import type { OutputSink } from '../driver.ts';
import type { RuntimeName } from '../../protocol/settings.ts';
import type { Assignment, SandboxSpec } from '../sandbox.ts';
import { LineReader, encodeLine } from './wire.ts';
import type { FromLauncher, ToLauncher } from './wire.ts';

export interface EdgeLinkEvents {
  start(spec: SandboxSpec, assignment: Assignment | null): void;
  assign(id: string, assignment: Assignment): void;
  prepare(artifact: string, runtime: RuntimeName): void;
  discardCompiled(artifact: string, runtime: RuntimeName): void;
  promote(id: string): void;
  kill(id: string): void;
  closed(): void;
}

export class EdgeLink {
  readonly #socket: Socket;
  #waiting: (() => void)[] = [];

  constructor(socket: Socket, events: EdgeLinkEvents) {
    this.#socket = socket;
    const reader = new LineReader<ToLauncher>();
    socket.on('data', (chunk: Buffer) => {
      try {
        for (const message of reader.push(chunk)) {
          if (message.op === 'start') events.start(message.spec, message.assignment);
          else if (message.op === 'assign') events.assign(message.id, message.assignment);
          else if (message.op === 'prepare') events.prepare(message.artifact, message.runtime);
          else if (message.op === 'discardCompiled') events.discardCompiled(message.artifact, message.runtime);
          else if (message.op === 'promote') events.promote(message.id);
          else if (message.op === 'kill') events.kill(message.id);
        }
      } catch {
        socket.destroy();
      }
    });
    socket.on('drain', () => this.#resume());
    socket.on('error', () => {});
    socket.on('end', () => socket.destroy());
    socket.on('close', () => {
      events.closed();
      this.#resume();
    });
  }

  send(message: FromLauncher): void {
    if (!this.#socket.destroyed) this.#socket.write(encodeLine(message));
  }

  close(): void {
    // What was sent before still arrives.
    this.#socket.destroySoon();
  }

  outputOf(id: string): OutputSink {
    return {
      write: (text) => {
        this.send({ op: 'output', id, text });
        return this.#socket.destroyed || !this.#socket.writableNeedDrain;
      },
      onceWelcome: (resume) => {
        if (this.#socket.destroyed) resume();
        else this.#waiting.push(resume);
      },
    };
  }

  #resume(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resume of waiting) resume();
  }
}
