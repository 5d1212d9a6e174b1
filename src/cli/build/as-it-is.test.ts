// Code that is taken as it is, for the runtime provided: the program is found, and what keeps it from starting is said here.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, statSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { TestingProject } from './testing-project.ts';

const PROVIDED = 'runtime: provided, handler: app.go';

test('the bootstrap of a folder is the program, with its mode; the handler is what it is told', async () => {
  using project = new TestingProject({ 'fn/bootstrap': '#!/bin/sh\n', 'fn/lib/part.sh': '', 'fn/.env': 'SECRET=1' });
  chmodSync(join(project.folder, 'fn/bootstrap'), 0o755);
  const built = await project.build('fn', PROVIDED);
  assert.equal(built.handler, 'bootstrap#app.go');
  const folder = project.unpack(built);
  assert.equal(statSync(join(folder, 'bootstrap')).mode & 0o777, 0o755);
  assert.deepEqual(execFileSync('find', ['.', '-type', 'f'], { cwd: folder, encoding: 'utf8' }).trim().split('\n').sort(), [
    './bootstrap',
    './lib/part.sh',
  ]);
});

test('a single file of any language is the bootstrap, and made executable', async () => {
  for (const name of ['run.py', 'run.mjs', 'run.sh', 'run']) {
    using project = new TestingProject({ [name]: '#!/usr/bin/env whatever\nthis is ) no code of ours\n' });
    const built = await project.build(name, PROVIDED);
    assert.equal(built.handler, 'bootstrap#app.go');
    const file = join(project.unpack(built), 'bootstrap');
    assert.equal(statSync(file).mode & 0o777, 0o755);
    assert.match(readFileSync(file, 'utf8'), /no code of ours/);
  }
});

test('a bootstrap that a layer brings, or that is a link, is one', async () => {
  using layered = new TestingProject({ 'fn/opt/bootstrap': '#!/bin/sh\n', 'fn/app.rb': '' });
  chmodSync(join(layered.folder, 'fn/opt/bootstrap'), 0o755);
  assert.equal((await layered.build('fn', 'runtime: provided')).handler, 'bootstrap');
  using linked = new TestingProject({ 'fn/bin/start': '#!/bin/sh\n' });
  chmodSync(join(linked.folder, 'fn/bin/start'), 0o755);
  symlinkSync('bin/start', join(linked.folder, 'fn/bootstrap'));
  assert.equal((await linked.build('fn', 'runtime: provided')).handler, 'bootstrap');
});

test('no bootstrap, or one that is not executable, is an error at the build', async () => {
  using project = new TestingProject({ 'fn/boot': '', 'zip/bootstrap': '#!/bin/sh\n' });
  await assert.rejects(project.build('fn', 'runtime: provided'), /fn has no file 'bootstrap' at its top, .*; it has boot$/);
  await assert.rejects(
    project.build('zip', 'runtime: provided'),
    /bootstrap of zip is not executable: chmod \+x bootstrap, and deploy again$/,
  );
  mkdirSync(join(project.folder, 'out'));
  execFileSync('python3', ['-m', 'zipfile', '-c', '../out/fn.zip', 'bootstrap'], { cwd: join(project.folder, 'zip') });
  await assert.rejects(project.build('out/fn.zip', 'runtime: provided'), /not executable: .* and make the archive again/);
});
