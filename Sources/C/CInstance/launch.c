// The launcher: one thread, a straight line from the configuration to init. It ends at the first step that fails; going on after a
// failed mount would be work in the host's root.
#include "internal.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static const int namespaces = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWCGROUP;

int rs_instance_wants(int argc, char **argv) { return argc >= 2 && !strcmp(argv[1], "__instance-launch"); }

/// fork() into new namespaces. Falls back to the old call where a container's filter hides clone3.
static pid_t clone_namespaces(int unified, int flags) {
  struct clone_args arguments = {.flags = (uint64_t)flags, .exit_signal = SIGCHLD};
  if (unified >= 0) {
    arguments.flags |= CLONE_INTO_CGROUP;
    arguments.cgroup = (uint64_t)unified;
  }
  long pid = syscall(SYS_clone3, &arguments, sizeof arguments);
  if (pid < 0 && errno == ENOSYS && unified < 0)
    pid = syscall(SYS_clone, flags | SIGCHLD, NULL, NULL, NULL, NULL);
  return (pid_t)pid;
}

/// Start time of a process in clock ticks since boot: field 22 of its stat line, counted behind the name's last parenthesis.
static unsigned long long start_time(pid_t pid) {
  char path[64], line[1024];
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) rs_fail("read start time", path);
  ssize_t size = read(fd, line, sizeof line - 1);
  close(fd);
  if (size <= 0) rs_fail("read start time", path);
  line[size] = 0;
  char *at = strrchr(line, ')');
  for (int field = 2; at && field < 22; field++) at = strchr(at + 1, ' ');
  errno = EINVAL;
  if (!at) rs_fail("parse start time", path);
  return strtoull(at + 1, NULL, 10);
}

static void write_pid_file(const char *path, pid_t pid) {
  char temporary[4096], line[64];
  int size = snprintf(line, sizeof line, "%d %llu\n", pid, start_time(pid));
  snprintf(temporary, sizeof temporary, "%s.new", path);
  int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) rs_fail("write pid file", temporary);
  if (write(fd, line, (size_t)size) != size) rs_fail("write pid file", temporary);
  close(fd);
  if (rename(temporary, path) < 0) rs_fail("write pid file", path);
}

static uint32_t need_address(const struct rs_config *config, const char *key) {
  struct in_addr address;
  const char *text = rs_config_need(config, key);
  errno = EINVAL;
  if (inet_pton(AF_INET, text, &address) != 1) rs_fail("parse address", text);
  return address.s_addr;
}

static void check(int result, const char *step, const char *detail) {
  if (result >= 0) return;
  errno = -result;
  rs_fail(step, detail);
}

/// Runs in the launcher, which enters the instance's network namespace for it: what it takes from the kernel (a socket look-up
/// program) is not for a user namespace's root. The launcher does nothing in the host's network afterwards.
static void configure_network(const struct rs_config *config, pid_t pid, int descriptors[2]) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/ns/net", pid);
  int namespace = open(path, O_RDONLY | O_CLOEXEC);
  if (namespace < 0 || setns(namespace, CLONE_NEWNET) < 0) rs_fail("enter network namespace", path);
  close(namespace);
  check(rs_link_up("lo"), "bring up", "lo");
  if (rs_config_get(config, "bridge")) {
    int prefix = atoi(rs_config_need(config, "prefix"));
    check(rs_address_add("eth0", need_address(config, "address"), prefix), "add address to", "eth0");
    check(rs_link_up("eth0"), "bring up", "eth0");
    check(rs_default_route(need_address(config, "gateway")), "add default route via", rs_config_get(config, "gateway"));
  }
  rs_metadata_bind(descriptors);
}

/// Tells the instance's process to go on, and hands it two descriptors with the second word.
static void say_go(int channel, const int *descriptors) {
  char byte = 'g', space[CMSG_SPACE(2 * sizeof(int))] = {0};
  struct iovec piece = {&byte, 1};
  struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
  if (descriptors) {
    message.msg_control = space;
    message.msg_controllen = sizeof space;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(2 * sizeof(int));
    memcpy(CMSG_DATA(header), descriptors, 2 * sizeof(int));
  }
  if (sendmsg(channel, &message, MSG_NOSIGNAL) != 1) rs_fail("signal init", NULL);
}

/// The other end. Without a word the launcher has failed, and has said so itself.
static void await_go(int channel, int *descriptors) {
  char byte, space[CMSG_SPACE(2 * sizeof(int))];
  struct iovec piece = {&byte, 1};
  struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
  if (recvmsg(channel, &message, MSG_CMSG_CLOEXEC) != 1) _exit(1);
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  if (!descriptors) return;
  errno = EPROTO;
  if (!header || header->cmsg_len != CMSG_LEN(2 * sizeof(int))) rs_fail("receive metadata socket", NULL);
  memcpy(descriptors, CMSG_DATA(header), 2 * sizeof(int));
}

static int open_in(const char *directory, const char *name, int flags) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%s", directory, name);
  int fd = open(path, flags | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) rs_fail("open", path);
  // Low numbers are for the status pipe and the metadata socket.
  int high = fcntl(fd, F_DUPFD_CLOEXEC, 16);
  if (high < 0) rs_fail("open", path);
  close(fd);
  return high;
}

static _Noreturn void become_instance(const struct rs_config *config, int channel, const char *directory) {
  struct rs_init_files files = {
    .console = open_in(directory, "console.log", O_RDWR | O_APPEND),
    .exit_status = open_in(directory, "exit-status", O_WRONLY | O_TRUNC),
  };
  unsigned first;
  // Nothing can be owned before the ids are mapped.
  if (rs_userns_first_id(config, &first)) await_go(channel, NULL);
  const char *hostname = rs_config_need(config, "hostname");
  if (sethostname(hostname, strlen(hostname)) < 0) rs_fail("set host name", hostname);
  rs_rootfs_enter(config);
  int metadata[2];
  await_go(channel, metadata);
  close(channel);
  if (dup3(metadata[0], RS_METADATA_FD, O_CLOEXEC) < 0) rs_fail("keep metadata socket", NULL);
  close(metadata[0]);
  rs_rootfs_protect();
  struct rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);
  rs_confine();
  prctl(PR_SET_NAME, "init");
  rs_report("ready\n");
  close(RS_STATUS_FD);
  rs_init_run(config, files);
}

int rs_instance_main(int argc, char **argv) {
  if (argc != 3 || strcmp(argv[1], "__instance-launch")) {
    fprintf(stderr, "usage: %s __instance-launch CONFIG\n", argv[0]);
    return 64;
  }
  syscall(SYS_close_range, RS_STATUS_FD + 1, ~0u, 0);
  // Nothing inside may look into init through /proc, where the host's own binary would be one link away.
  prctl(PR_SET_DUMPABLE, 0);
  umask(022);
  struct rs_config config = rs_config_read(argv[2]);
  const char *directory = rs_config_need(&config, "directory"), *bridge = rs_config_get(&config, "bridge");
  int lock = open_in(directory, "lock", O_RDWR);
  if (flock(lock, LOCK_EX | LOCK_NB) < 0) rs_fail("lock", "the instance is running or being launched");
  rs_cgroup_prepare(&config);
  int unified = rs_cgroup_unified_fd(&config), channel[2];
  unsigned first;
  int shifted = rs_userns_first_id(&config, &first);
  if (shifted) rs_userns_mount_root(&config, rs_config_need(&config, "root"), first);
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel) < 0) rs_fail("make socket pair", NULL);
  pid_t pid = clone_namespaces(unified, namespaces | (shifted ? CLONE_NEWUSER : 0));
  if (pid < 0) rs_fail("clone into new namespaces", NULL);
  if (pid == 0) {
    close(channel[1]);
    become_instance(&config, channel[0], directory);
  }
  close(channel[0]);
  if (shifted) {
    check(rs_userns_map(pid, first), "map ids of", "init");
    say_go(channel[1], NULL);
  }
  write_pid_file(rs_config_need(&config, "pid-file"), pid);
  rs_report("pid %d\n", pid);
  if (bridge) {
    struct rs_veth veth = {
      .host_name = rs_config_need(&config, "veth"), .bridge = bridge, .address = need_address(&config, "address"), .pid = pid};
    check(rs_parse_mac(rs_config_need(&config, "mac"), veth.mac), "parse hardware address", NULL);
    check(rs_veth_create(&veth), "connect to bridge", bridge);
  }
  int metadata[2];
  configure_network(&config, pid, metadata);
  say_go(channel[1], metadata);
  return 0;
}
