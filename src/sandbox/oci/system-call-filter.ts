// The one filter of system calls (bubblewrap/seccomp.ts) in the form that each runtime takes. Pure. Caller: oci.ts.
import { seccompFilter } from '../bubblewrap/seccomp.ts';
import type { SystemCallFilter } from './bundle.ts';
import type { OciRuntimeName } from './runtimes.ts';

/** `note`: why there is none, for people. */
export function systemCallFilter(runtime: OciRuntimeName): { filter: SystemCallFilter; note: string | null } {
  const none: SystemCallFilter = { annotations: {}, seccomp: undefined };
  // A guest's calls never reach the host's kernel; those of gVisor's own processes pass a filter that it brings.
  if (runtime === 'runsc') return { filter: none, note: null };
  const program = seccompFilter();
  if (program === null) return { filter: none, note: `there is no system call filter for ${process.arch}` };
  return { filter: { annotations: { 'run.oci.seccomp_bpf_data': program.toString('base64') }, seccomp: undefined }, note: null };
}
