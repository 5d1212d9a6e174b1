// `virga projects`: the projects of the server.
import type { CommandDefinition } from '../command.ts';
import { agoText } from '../phrases.ts';
import { connect } from '../server.ts';
import { table } from '../table.ts';

export const command: CommandDefinition = {
  define() {},
  examples: ['virga projects', 'virga projects --json'],
  async run({ terminal, settings }) {
    const projects = await Array.fromAsync(connect(settings).projects());
    if (projects.length === 0) terminal.note('There is no project yet; `virga deploy DIR` makes one.');
    terminal.result(projects, () => {
      if (projects.length === 0) return '';
      const rows = projects.map((project) => [
        project.name,
        project.url,
        String(project.functions),
        String(project.deployment ?? '–'),
        agoText(project.createdAt),
      ]);
      return table(['project', 'url', '>functions', '>deployment', 'created'], rows, (text) => terminal.paint('dim', text));
    });
  },
};
