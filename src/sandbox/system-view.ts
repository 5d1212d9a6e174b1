// What every sandbox sees of the host, whatever the driver:
//
//   /usr /bin /lib …   the host's, read-only          /tmp    its own tmpfs with a size limit; /dev/shm points here
//   /etc               a few files and the CA roots   /proc   its own, of its own processes
//   /code /virga …     what the launch asks for, ro   /dev    null, zero, full, random, urandom, fd
//   /var/task /opt     links to /code and /code/opt
//
// Everything else of the host does not exist inside, and the root is read-only. Pure but for looking at which of the
// host's top folders exist. Callers: bubblewrap/arguments.ts, oci/root-folder.ts, oci/bundle.ts.
import { existsSync, lstatSync, readlinkSync } from 'node:fs';

const FOLDERS = ['/usr', '/bin', '/sbin', '/lib', '/lib32', '/lib64', '/libx32'];
const FILES = ['/etc/ld.so.cache', '/etc/alternatives', '/etc/ssl/certs', '/etc/pki/tls/certs', '/etc/localtime'];

/** Of the host, read and write for all. */
export const DEVICES = ['/dev/null', '/dev/zero', '/dev/full', '/dev/random', '/dev/urandom'];

/** What a link holds, and where it lies. POSIX shared memory (Python's multiprocessing needs it) counts against the size of /tmp. */
export const DEVICE_LINKS: readonly (readonly [holds: string, at: string])[] = [
  ['/proc/self/fd', '/dev/fd'],
  ['/proc/self/fd/0', '/dev/stdin'],
  ['/proc/self/fd/1', '/dev/stdout'],
  ['/proc/self/fd/2', '/dev/stderr'],
  ['/tmp', '/dev/shm'],
];

/** Where code that was written for AWS Lambda expects itself, and its layers. */
const CLOUD_LINKS: readonly (readonly [holds: string, at: string])[] = [
  ['/code', '/var/task'],
  ['/code/opt', '/opt'],
];

export interface SystemView {
  /** Files and folders of the host, to be seen read-only at the same place. */
  binds: string[];
  /** A host whose /bin is a link to usr/bin has the same link inside. */
  links: (readonly [holds: string, at: string])[];
}

export function systemView(): SystemView {
  const view: SystemView = { binds: [], links: [] };
  for (const folder of FOLDERS) {
    const stat = lstatSync(folder, { throwIfNoEntry: false });
    if (stat?.isSymbolicLink()) view.links.push([readlinkSync(folder), folder]);
    else if (stat?.isDirectory()) view.binds.push(folder);
  }
  view.links.push(...CLOUD_LINKS);
  view.binds.push(...FILES.filter((file) => existsSync(file)));
  return view;
}

/** Small files of a sandbox's own: where, and what is in them. */
export function etcFiles(uid: number): (readonly [at: string, contents: string])[] {
  // The first name of a uid is its name.
  const root = uid === 0 ? '' : 'root:x:0:0:root:/:/usr/sbin/nologin\n';
  return [
    ['/etc/passwd', `${root}sandbox:x:${uid}:${uid}:sandbox:/tmp:/bin/sh\n`],
    ['/etc/hosts', '127.0.0.1 localhost\n::1 localhost\n127.0.0.1 sandbox\n'],
    ['/etc/nsswitch.conf', 'passwd: files\nhosts: files dns\n'],
    ['/etc/resolv.conf', 'nameserver 127.0.0.1\n'],
  ];
}
