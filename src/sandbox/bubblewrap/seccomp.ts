// The system calls that a sandbox may not make, as a program for the kernel's filter (classic BPF). The namespaces are
// the wall; this keeps away what has no use in a function and a long record of holes: tracing, kernel keyrings (they would
// outlive a sandbox), io_uring (its operations pass by the filter), eBPF, mounting, modules.
// Invariant: everything not listed is allowed, so runtimes keep working on new kernels. clone is allowed with any flags:
// new namespaces need rights that a sandbox lacks, and libuv dies at thread creation when clone3 fails with EPERM.
// Pure. Caller: bubblewrap.ts. Numbers: arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h.

interface Architecture {
  /** AUDIT_ARCH_* of linux/audit.h. */
  audit: number;
  denied: number[];
}

/** The same on every architecture: open_tree … fspick, pidfd_getfd, mount_setattr. */
const DENIED_EVERYWHERE = [428, 429, 430, 431, 432, 433, 438, 442];
/** io_uring_setup, _enter, _register: "not there", so that libraries fall back. */
const ABSENT = [425, 426, 427];

const ARCHITECTURES: Record<string, Architecture> = {
  x64: {
    audit: 0xc000003e,
    denied: [
      101,
      103,
      155,
      163,
      164,
      165,
      166,
      167,
      168,
      169, // ptrace syslog pivot_root acct settimeofday mount umount2 swapon swapoff reboot
      172,
      173,
      175,
      176,
      179,
      212,
      227,
      246,
      248,
      249,
      250, // iopl ioperm init_module delete_module quotactl lookup_dcookie clock_settime kexec_load add_key request_key keyctl
      272,
      298,
      300,
      304,
      308,
      310,
      311,
      312,
      313,
      320,
      321,
      323, // unshare perf_event_open fanotify_init open_by_handle_at setns process_vm_readv process_vm_writev kcmp finit_module kexec_file_load bpf userfaultfd
    ],
  },
  arm64: {
    audit: 0xc00000b7,
    denied: [
      117,
      116,
      41,
      89,
      170,
      40,
      39,
      224,
      225,
      142, // ptrace syslog pivot_root acct settimeofday mount umount2 swapon swapoff reboot
      105,
      106,
      60,
      18,
      112,
      104,
      217,
      218,
      219, // init_module delete_module quotactl lookup_dcookie clock_settime kexec_load add_key request_key keyctl
      97,
      241,
      262,
      265,
      268,
      270,
      271,
      272,
      273,
      294,
      280,
      282, // unshare perf_event_open fanotify_init open_by_handle_at setns process_vm_readv process_vm_writev kcmp finit_module kexec_file_load bpf userfaultfd
    ],
  },
};

const LOAD_WORD = 0x20;
const JUMP_EQUAL = 0x15;
const JUMP_GREATER_OR_EQUAL = 0x35;
const RETURN = 0x06;
const ALLOW = 0x7fff0000;
const KILL_PROCESS = 0x80000000;
const FAIL_WITH = 0x00050000;
const EPERM = 1;
const ENOSYS = 38;
/** x86-64 only: calls of the x32 ABI carry this bit, and would pass by the numbers above. */
const X32_BIT = 0x40000000;

/** The filter for this machine; null for a processor whose numbers are not known here. */
export function seccompFilter(architecture: string = process.arch): Buffer | null {
  const known = ARCHITECTURES[architecture];
  if (known === undefined) return null;
  const denied = [...known.denied, ...DENIED_EVERYWHERE];
  const checks = [...denied.map((call) => ({ call, to: 'eperm' })), ...ABSENT.map((call) => ({ call, to: 'enosys' }))];
  // 0 load arch, 1 compare, 2 kill, 3 load number, 4 x32 check, 5… checks, then the three endings.
  const allowAt = 5 + checks.length;
  const endings = { eperm: allowAt + 1, enosys: allowAt + 2 } as Record<string, number>;
  const program: [code: number, ifTrue: number, ifFalse: number, value: number][] = [
    [LOAD_WORD, 0, 0, 4],
    [JUMP_EQUAL, 1, 0, known.audit],
    [RETURN, 0, 0, KILL_PROCESS],
    [LOAD_WORD, 0, 0, 0],
    [JUMP_GREATER_OR_EQUAL, endings['enosys']! - 5, 0, X32_BIT],
  ];
  for (const { call, to } of checks) program.push([JUMP_EQUAL, endings[to]! - program.length - 1, 0, call]);
  program.push([RETURN, 0, 0, ALLOW], [RETURN, 0, 0, FAIL_WITH | EPERM], [RETURN, 0, 0, FAIL_WITH | ENOSYS]);
  const bytes = Buffer.alloc(program.length * 8);
  for (const [index, [code, ifTrue, ifFalse, value]] of program.entries()) {
    bytes.writeUInt16LE(code, index * 8);
    bytes[index * 8 + 2] = ifTrue;
    bytes[index * 8 + 3] = ifFalse;
    bytes.writeUInt32LE(value >>> 0, index * 8 + 4);
  }
  return bytes;
}
