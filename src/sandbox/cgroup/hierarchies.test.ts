// Reading which cgroup hierarchies a machine has: the three layouts that are found in the wild.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cgroupMounts } from './hierarchies.ts';

test('a machine with v2 alone has one hierarchy, and our place in it', () => {
  const mounts = 'sysfs /sys sysfs rw 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw,nosuid,nsdelegate 0 0\n';
  assert.deepEqual(cgroupMounts(mounts, '0::/system.slice/virga.service\n'), [
    { version: 2, folder: '/sys/fs/cgroup', controllers: [], own: '/system.slice/virga.service' },
  ]);
});

test('a hybrid machine has v1 hierarchies with controllers beside v2; those without use are left out', () => {
  const mounts = [
    'cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,cpu,cpuacct 0 0',
    'cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0',
    'cgroup /sys/fs/cgroup/freezer cgroup rw,freezer 0 0',
    'cgroup /sys/fs/cgroup/devices cgroup rw,devices 0 0',
    'cgroup /sys/fs/cgroup/systemd cgroup rw,xattr,name=systemd 0 0',
    'cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0',
  ].join('\n');
  const own = '4:cpu,cpuacct:/user.slice\n3:memory:/a:b\n1:name=systemd:/x\n0::/user.slice/u\n';
  assert.deepEqual(cgroupMounts(mounts, own), [
    { version: 1, folder: '/sys/fs/cgroup/cpu,cpuacct', controllers: ['cpu', 'cpuacct'], own: '/user.slice' },
    { version: 1, folder: '/sys/fs/cgroup/memory', controllers: ['memory'], own: '/a:b' },
    { version: 1, folder: '/sys/fs/cgroup/freezer', controllers: ['freezer'], own: '/' },
    { version: 2, folder: '/sys/fs/cgroup/unified', controllers: [], own: '/user.slice/u' },
  ]);
});

test('escapes in the path of a mount are undone, and a machine without cgroups has none', () => {
  assert.equal(cgroupMounts('none /mnt/my\\040groups cgroup2 rw 0 0', '')[0]?.folder, '/mnt/my groups');
  assert.deepEqual(cgroupMounts('', ''), []);
});
