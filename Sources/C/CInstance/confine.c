// What code run as root inside may not do: capabilities that reach beyond its namespaces are gone for good, and a filter refuses
// the system calls whose only use inside would be to get out or to widen the kernel's attack surface.
#include "internal.h"

#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
#define NATIVE_ARCH AUDIT_ARCH_X86_64
#define X32_BIT 0x40000000u
#elif defined(__aarch64__)
#define NATIVE_ARCH AUDIT_ARCH_AARCH64
#else
#error "write down this architecture's audit number"
#endif

// Kept. Everything else is dropped from the bounding set, SYS_ADMIN, SYS_MODULE, SYS_RAWIO, SYS_PTRACE, SYS_TIME, SYS_BOOT,
// SYS_RESOURCE, MKNOD, NET_ADMIN, DAC_READ_SEARCH, SYSLOG, BPF and PERFMON among them.
static const int kept_capabilities[] = {
  CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID, CAP_KILL, CAP_SETGID, CAP_SETUID, CAP_SETPCAP, CAP_NET_BIND_SERVICE,
  CAP_NET_RAW, CAP_SYS_CHROOT, CAP_AUDIT_WRITE, CAP_SETFCAP};

// The numbers that all architectures share, for headers older than the calls.
#ifndef SYS_open_tree_attr
#define SYS_open_tree_attr 467
#endif
#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442
#endif
#ifndef SYS_quotactl_fd
#define SYS_quotactl_fd 443
#endif

static const int denied[] = {
  // mounts
  SYS_mount, SYS_umount2, SYS_pivot_root, SYS_move_mount, SYS_open_tree, SYS_open_tree_attr, SYS_fsopen, SYS_fsconfig,
  SYS_fsmount, SYS_fspick, SYS_mount_setattr, SYS_swapon, SYS_swapoff, SYS_quotactl, SYS_quotactl_fd,
  // the kernel itself
  SYS_kexec_load, SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_bpf, SYS_perf_event_open, SYS_userfaultfd,
  SYS_reboot, SYS_syslog, SYS_acct, SYS_kcmp,
#ifdef SYS_lookup_dcookie
  SYS_lookup_dcookie,
#endif
#ifdef SYS_kexec_file_load
  SYS_kexec_file_load,
#endif
#ifdef SYS_iopl
  SYS_iopl, SYS_ioperm,
#endif
  // key rings are not namespaced
  SYS_add_key, SYS_request_key, SYS_keyctl,
  // ways into other namespaces and file systems
  SYS_setns, SYS_open_by_handle_at, SYS_fanotify_init,
  // the clock
  SYS_settimeofday, SYS_clock_settime, SYS_clock_adjtime, SYS_adjtimex, SYS_vhangup};

// Answered as if the kernel did not have them, so that libraries fall back: clone3 hides its flags from a filter.
static const int absent[] = {SYS_clone3, SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register};

#define REFUSE(code) (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (code))
#define ALLOW (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define LOAD(field) (struct sock_filter) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, field))
#define SKIP_UNLESS(value, count) (struct sock_filter) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(value), 0, count)
#define SKIP_IF(value, count) (struct sock_filter) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(value), count, 0)
#define SKIP_UNLESS_BITS(bits, count) (struct sock_filter) BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, (uint32_t)(bits), 0, count)

static void install_filter(void) {
  struct sock_filter code[256];
  unsigned short at = 0;
  code[at++] = LOAD(arch);
  code[at++] = SKIP_IF(NATIVE_ARCH, 1);
  code[at++] = REFUSE(ENOSYS);
  code[at++] = LOAD(nr);
#ifdef X32_BIT
  code[at++] = SKIP_UNLESS_BITS(X32_BIT, 1);
  code[at++] = REFUSE(ENOSYS);
#endif
  for (size_t i = 0; i < sizeof denied / sizeof *denied; i++) {
    code[at++] = SKIP_UNLESS(denied[i], 1);
    code[at++] = REFUSE(EPERM);
  }
  for (size_t i = 0; i < sizeof absent / sizeof *absent; i++) {
    code[at++] = SKIP_UNLESS(absent[i], 1);
    code[at++] = REFUSE(ENOSYS);
  }
  // unshare and clone without a new user namespace stay: without SYS_ADMIN they make no other one either.
  const int spawning[] = {SYS_unshare, SYS_clone};
  for (size_t i = 0; i < sizeof spawning / sizeof *spawning; i++) {
    code[at++] = SKIP_UNLESS(spawning[i], 4);
    code[at++] = LOAD(args[0]);
    code[at++] = SKIP_UNLESS_BITS(CLONE_NEWUSER, 1);
    code[at++] = REFUSE(EPERM);
    code[at++] = ALLOW;
  }
  // Sockets that talk to the hypervisor (AF_VSOCK, 40) or to the kernel's ciphers (AF_ALG, 38).
  code[at++] = SKIP_UNLESS(SYS_socket, 5);
  code[at++] = LOAD(args[0]);
  code[at++] = SKIP_IF(40, 1);
  code[at++] = SKIP_UNLESS(38, 1);
  code[at++] = REFUSE(EAFNOSUPPORT);
  code[at++] = ALLOW;
  code[at++] = ALLOW;
  struct sock_fprog program = {.len = at, .filter = code};
  // Without no_new_privs, so that sudo and su work; that takes SYS_ADMIN, which is still here.
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0) rs_fail("install system call filter", NULL);
}

static void drop_capabilities(void) {
  uint64_t kept = 0;
  for (size_t i = 0; i < sizeof kept_capabilities / sizeof *kept_capabilities; i++) kept |= 1ull << kept_capabilities[i];
  for (int capability = 0; capability < 64; capability++) {
    if (kept >> capability & 1) continue;
    // EINVAL: the kernel knows no capability from here on.
    if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0) {
      if (errno == EINVAL) break;
      rs_fail("drop capability", NULL);
    }
  }
  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0) rs_fail("clear ambient capabilities", NULL);
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct data[2] = {0};
  for (int i = 0; i < 2; i++) data[i].permitted = data[i].effective = (uint32_t)(kept >> 32 * i);
  if (syscall(SYS_capset, &header, data) < 0) rs_fail("set capabilities", NULL);
}

void rs_confine(void) {
  // A session key ring of its own: the host's is inherited otherwise. Kernels without key rings say ENOSYS.
  if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 && errno != ENOSYS && errno != EPERM)
    rs_fail("join a new session key ring", NULL);
  install_filter();
  drop_capabilities();
  // Changing credentials may have reset it.
  if (prctl(PR_SET_DUMPABLE, 0) < 0) rs_fail("close init to others", NULL);
}
