// A user namespace for each instance: its root is an unprivileged id of the host's. Image layers and the writable layer are mounted
// with their ids shifted into the instance's range (Linux 5.19 for overlays), so nothing on disk changes hands.
#include "internal.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <linux/securebits.h>
#include <sched.h>
#include <signal.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#ifndef MOUNT_ATTR_IDMAP
#define MOUNT_ATTR_IDMAP 0x00100000
#endif
#ifndef MOVE_MOUNT_F_EMPTY_PATH
#define MOVE_MOUNT_F_EMPTY_PATH 0x00000004
#endif
#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1
#endif

int rs_userns_first_id(const struct rs_config *config, unsigned *first) {
  const char *text = rs_config_get(config, "first-id");
  if (!text) return 0;
  *first = (unsigned)strtoul(text, NULL, 10);
  return 1;
}

static int write_map(pid_t pid, const char *name, unsigned first) {
  char path[64], line[64];
  snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
  int size = snprintf(line, sizeof line, "0 %u 65536\n", first), fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return -errno;
  int result = write(fd, line, (size_t)size) == size ? 0 : -errno;
  close(fd);
  return result;
}

int rs_userns_map(pid_t pid, unsigned first) {
  int result = write_map(pid, "uid_map", first);
  return result < 0 ? result : write_map(pid, "gid_map", first);
}

/// A user namespace that serves only to tell the kernel the mapping. The process that carries it makes no call but system calls, so
/// this works in a program with threads too.
static int mapping_namespace(unsigned first) {
  int hold[2];
  if (pipe2(hold, O_CLOEXEC) < 0) return -errno;
  long pid = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL);
  if (pid == 0) {
    char byte;
    syscall(SYS_close, hold[1]);
    syscall(SYS_read, hold[0], &byte, 1);
    syscall(SYS_exit_group, 0);
  }
  int result = pid < 0 ? -errno : rs_userns_map((pid_t)pid, first);
  if (result == 0) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%ld/ns/user", pid);
    result = open(path, O_RDONLY | O_CLOEXEC);
    if (result < 0) result = -errno;
  }
  close(hold[0]);
  close(hold[1]);
  if (pid > 0) waitpid((pid_t)pid, NULL, 0);
  return result;
}

int rs_userns_probe(const char *directory) {
  int mapping = mapping_namespace(1000000000);
  if (mapping < 0) return mapping;
  int tree = (int)syscall(SYS_open_tree, AT_FDCWD, directory, OPEN_TREE_CLONE | O_CLOEXEC), result = 0;
  struct mount_attr attributes = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)mapping};
  if (tree < 0 || syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attributes, sizeof attributes) < 0) result = -errno;
  if (tree >= 0) close(tree);
  close(mapping);
  return result;
}

/// Mounts `source` again at `target` with shifted ids.
static void mount_shifted(const char *source, const char *target, int mapping) {
  int tree = (int)syscall(SYS_open_tree, AT_FDCWD, source, OPEN_TREE_CLONE | O_CLOEXEC);
  if (tree < 0) rs_fail("take", source);
  struct mount_attr attributes = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)mapping};
  if (syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attributes, sizeof attributes) < 0) rs_fail("shift ids of", source);
  if (mkdir(target, 0700) < 0) rs_fail("make directory", target);
  if (syscall(SYS_move_mount, tree, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH) < 0) rs_fail("mount", target);
  close(tree);
}

/// Binds the host's devices, since a user namespace cannot make any. The directory becomes the instance's.
static void bind_devices(const char *root, unsigned first) {
  char path[4096], options[128];
  snprintf(path, sizeof path, "%s/dev", root);
  struct stat status;
  if (lstat(path, &status) < 0) rs_fail("stat", path);
  errno = ENOTDIR;
  if (!S_ISDIR(status.st_mode)) rs_fail("mount on", "/dev");
  snprintf(options, sizeof options, "mode=755,size=64k,uid=%u,gid=%u", first, first);
  if (mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_STRICTATIME, options) < 0) rs_fail("mount", path);
  static const char *const names[] = {"null", "zero", "full", "random", "urandom", "tty", NULL};
  for (size_t i = 0; names[i]; i++) {
    char source[64];
    snprintf(source, sizeof source, "/dev/%s", names[i]);
    snprintf(path, sizeof path, "%s/dev/%s", root, names[i]);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) rs_fail("create", path);
    close(fd);
    if (mount(source, path, NULL, MS_BIND, NULL) < 0) rs_fail("bind", path);
  }
}

/// Runs in the launcher, in a mount namespace of its own that the instance then gets a copy of.
void rs_userns_mount_root(const struct rs_config *config, const char *root, unsigned first) {
  if (unshare(CLONE_NEWNS) < 0) rs_fail("make mount namespace", NULL);
  if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) rs_fail("make mounts private", NULL);
  int mapping = mapping_namespace(first);
  errno = -mapping;
  if (mapping < 0) rs_fail("make user namespace", NULL);
  const char *directory = rs_config_need(config, "directory");
  char stage[2048], target[4096];
  snprintf(stage, sizeof stage, "%s/layers", directory);
  if (mkdir(stage, 0700) < 0 && errno != EEXIST) rs_fail("make directory", stage);
  if (mount("tmpfs", stage, "tmpfs", MS_NOSUID | MS_NODEV, "mode=700") < 0) rs_fail("mount", stage);

  char **layers = rs_config_all(config, "lower"), options[4096] = "lowerdir=";
  size_t count = 0, used = strlen(options);
  while (layers[count]) count++;
  for (size_t i = count; i-- > 0;) {
    snprintf(target, sizeof target, "%s/%zu", stage, i);
    mount_shifted(layers[i], target, mapping);
    used += (size_t)snprintf(options + used, used < sizeof options ? sizeof options - used : 0, "%s%s", target, i ? ":" : "");
  }
  // Upper and work directory have to be below one mount.
  snprintf(target, sizeof target, "%s/own", stage);
  mount_shifted(directory, target, mapping);
  if (used < sizeof options)
    used += (size_t)snprintf(
      options + used, sizeof options - used, ",upperdir=%s/own/upper,workdir=%s/own/work", stage, stage);
  errno = ENAMETOOLONG;
  if (used >= sizeof options) rs_fail("mount root", "too many layers");
  // The overlay works with the ids of whoever mounts it, and through the shifted mounts the host's root is nobody. Its capabilities
  // have to stay with the instance's id meanwhile.
  if (prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP) < 0) rs_fail("keep capabilities", NULL);
  setfsgid(first);
  setfsuid(first);
  if (mount("overlay", root, "overlay", MS_NODEV, options) < 0) rs_fail("mount overlay with shifted ids", root);
  setfsuid(0);
  setfsgid(0);
  if (prctl(PR_SET_SECUREBITS, 0) < 0) rs_fail("restore capabilities", NULL);
  bind_devices(root, first);
  close(mapping);
  free(layers);
}
