// The executable: `role <name>` serves one role of a node (started by the supervisor); everything else is the command line.
// Invariant: nothing is imported that the chosen way does not need; starting the CLI costs no server code.

const [first, second] = process.argv.slice(2);

if (first === 'role') {
  const { serveRole } = await import('./server/role-process.ts');
  switch (second) {
    case 'edge':
      await serveRole('edge', (await import('./server/edge.ts')).runEdge);
      break;
    case 'control':
      await serveRole('control', (await import('./server/control.ts')).runControl);
      break;
    case 'launcher':
      await serveRole('launcher', (await import('./server/launcher.ts')).runLauncher);
      break;
    default:
      process.stderr.write(`virga: there is no role '${second ?? ''}'\n`);
      process.exitCode = 2;
  }
} else {
  const { main } = await import('./cli/cli.ts');
  process.exitCode = await main(process.argv.slice(2));
}
