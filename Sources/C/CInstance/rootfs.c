// The instance's own root: an overlay of image layers, its own /proc, /sys, /dev and /run, and nothing of the host's left in reach.
#include "internal.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#ifndef MOVE_MOUNT_F_EMPTY_PATH
#define MOVE_MOUNT_F_EMPTY_PATH 0x00000004
#endif
#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1
#endif

static void mount_overlay(const struct rs_config *config, const char *root) {
  char options[4096] = "lowerdir=";
  size_t used = strlen(options);
  char **layers = rs_config_all(config, "lower");
  size_t count = 0;
  while (layers[count]) count++;
  errno = EINVAL;
  if (!count) rs_fail("mount root", "no image layer");
  // The configuration names the lowest layer first, overlayfs wants the topmost first.
  for (size_t i = count; i-- > 0;)
    used += (size_t)snprintf(options + used, used < sizeof options ? sizeof options - used : 0, "%s%s", layers[i], i ? ":" : "");
  if (used < sizeof options)
    used += (size_t)snprintf(
      options + used, sizeof options - used, ",upperdir=%s,workdir=%s", rs_config_need(config, "upper"),
      rs_config_need(config, "work"));
  errno = ENAMETOOLONG;
  if (used >= sizeof options) rs_fail("mount root", "too many layers");
  if (mount("overlay", root, "overlay", MS_NODEV, options) < 0) rs_fail("mount overlay", root);
  free(layers);
}

/// A directory of the instance to mount on. It has to be a real one: what the instance left behind is not trusted.
static void need_directory(const char *path, mode_t mode) {
  struct stat status;
  if (mkdir(path, mode) == 0) return;
  if (errno != EEXIST) rs_fail("make directory", path);
  if (lstat(path, &status) < 0) rs_fail("stat", path);
  errno = ENOTDIR;
  if (!S_ISDIR(status.st_mode)) rs_fail("mount on", path);
}

static void mount_on(const char *type, const char *path, unsigned long flags, const char *options) {
  need_directory(path, 0755);
  if (mount(type, path, type, flags, options) < 0) rs_fail("mount", path);
}

static void make_node(const char *path, unsigned major_number, unsigned minor_number) {
  if (mknod(path, S_IFCHR | 0666, makedev(major_number, minor_number)) < 0) rs_fail("make device", path);
  if (chmod(path, 0666) < 0) rs_fail("chmod", path);
}

static void link_to(const char *target, const char *path) {
  if (symlink(target, path) < 0) rs_fail("link", path);
}

static void make_devices(void) {
  mount_on("tmpfs", "/dev", MS_NOSUID | MS_STRICTATIME, "mode=755,size=64k");
  make_node("/dev/null", 1, 3);
  make_node("/dev/zero", 1, 5);
  make_node("/dev/full", 1, 7);
  make_node("/dev/random", 1, 8);
  make_node("/dev/urandom", 1, 9);
  make_node("/dev/tty", 5, 0);
}

static void populate_dev(const char *shm_size) {
  char options[64];
  mount_on("devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5");
  snprintf(options, sizeof options, "mode=1777,size=%s", shm_size);
  mount_on("tmpfs", "/dev/shm", MS_NOSUID | MS_NODEV, options);
  need_directory("/dev/mqueue", 0755);
  // Kernels without POSIX message queues do not have it.
  if (mount("mqueue", "/dev/mqueue", "mqueue", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0 && errno != ENODEV)
    rs_fail("mount", "/dev/mqueue");
  link_to("pts/ptmx", "/dev/ptmx");
  link_to("/proc/self/fd", "/dev/fd");
  link_to("/proc/self/fd/0", "/dev/stdin");
  link_to("/proc/self/fd/1", "/dev/stdout");
  link_to("/proc/self/fd/2", "/dev/stderr");
  // The console is a pipe to init, which keeps the console log.
  if (mkfifo("/dev/console", 0622) < 0 || chmod("/dev/console", 0622) < 0) rs_fail("make", "/dev/console");
}

/// Hides a file or directory behind an empty one. What this kernel does not have needs no hiding.
static void mask(const char *path) {
  struct stat status;
  if (lstat(path, &status) < 0) {
    if (errno == ENOENT) return;
    rs_fail("stat", path);
  }
  if (S_ISDIR(status.st_mode)) {
    if (mount("tmpfs", path, "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=000,size=4k") < 0)
      rs_fail("mask", path);
  } else if (mount("/dev/null", path, NULL, MS_BIND, NULL) < 0) {
    rs_fail("mask", path);
  }
}

static void make_read_only(const char *path) {
  if (mount(path, path, NULL, MS_BIND | MS_REC, NULL) < 0) {
    if (errno == ENOENT) return;
    rs_fail("bind", path);
  }
  if (mount(NULL, path, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
    rs_fail("make read-only", path);
}

static void make_parents(const char *path) {
  char *copy = strdup(path);
  if (!copy) rs_fail("make directories for", path);
  for (char *at = copy + 1; (at = strchr(at, '/')); at++) {
    *at = 0;
    if (mkdir(copy, 0755) < 0 && errno != EEXIST) rs_fail("make directory", copy);
    *at = '/';
  }
  free(copy);
}

/// `file MODE PATH\0CONTENT`, written as seen from inside, so that no link in the instance's layer can lead out of it.
static void write_file(const struct rs_record *record) {
  char *end;
  unsigned long mode = strtoul(record->value, &end, 8);
  const char *path = end + 1;
  errno = EINVAL;
  if (*end != ' ' || *path != '/') rs_fail("parse file", record->value);
  const char *content = path + strlen(path) + 1;
  size_t size = record->size - (size_t)(content - record->value), done = 0;
  make_parents(path);
  if (unlink(path) < 0 && errno != ENOENT) rs_fail("replace", path);
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) rs_fail("create", path);
  while (done < size) {
    ssize_t wrote = write(fd, content + done, size - done);
    if (wrote < 0) rs_fail("write", path);
    done += (size_t)wrote;
  }
  if (fchmod(fd, (mode_t)mode & 07777) < 0) rs_fail("chmod", path);
  close(fd);
}

/// `bind SOURCE\nTARGET`: a file of the host, read-only inside. The source is taken hold of while the host's root is still there.
static void take_binds(char **binds, int *trees) {
  for (size_t i = 0; binds[i]; i++) {
    char *split = strchr(binds[i], '\n');
    errno = EINVAL;
    if (!split) rs_fail("parse bind", binds[i]);
    *split = 0;
    trees[i] = (int)syscall(SYS_open_tree, AT_FDCWD, binds[i], OPEN_TREE_CLONE | O_CLOEXEC);
    if (trees[i] < 0) rs_fail("take", binds[i]);
    binds[i] = split + 1;
  }
}

static void place_bind(const char *target, int tree) {
  make_parents(target);
  int fd = open(target, O_RDONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0755);
  if (fd < 0) rs_fail("create", target);
  close(fd);
  if (syscall(SYS_move_mount, tree, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH) < 0) rs_fail("bind", target);
  if (mount(NULL, target, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV, NULL) < 0)
    rs_fail("make read-only", target);
  close(tree);
}

/// Root and group 0 of the instance's own user namespace, whose ids own everything from here on.
static void become_root(void) {
  if (syscall(SYS_setgroups, 0, NULL) < 0 || syscall(SYS_setresgid, 0, 0, 0) < 0 || syscall(SYS_setresuid, 0, 0, 0) < 0)
    rs_fail("become root of the user namespace", NULL);
}

void rs_rootfs_enter(const struct rs_config *config) {
  const char *root = rs_config_need(config, "root");
  unsigned first;
  int shifted = rs_userns_first_id(config, &first);
  if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) rs_fail("make mounts private", NULL);
  if (!shifted) mount_overlay(config, root);
  // What came from a more privileged namespace is locked; a mount of its own on top is not.
  else if (mount(root, root, NULL, MS_BIND | MS_REC, NULL) < 0) rs_fail("bind", root);
  char **binds = rs_config_all(config, "bind");
  size_t count = 0;
  while (binds[count]) count++;
  int *trees = calloc(count + 1, sizeof *trees);
  if (!trees) rs_fail("take files", NULL);
  take_binds(binds, trees);
  if (chdir(root) < 0) rs_fail("enter", root);
  if (syscall(SYS_pivot_root, ".", ".") < 0) rs_fail("pivot_root", root);
  if (shifted) become_root();
  // The old root still lies on top; the kernel wants to see its /proc and /sys before it mounts them in a user namespace.
  mount_on("proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
  mount_on("sysfs", "sys", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
  if (umount2(".", MNT_DETACH) < 0) rs_fail("leave the host's root", NULL);
  if (chdir("/") < 0) rs_fail("enter", "/");
  if (!shifted) make_devices();
  populate_dev(rs_config_need(config, "shm-size"));
  mount_on("tmpfs", "/run", MS_NOSUID | MS_NODEV, "mode=755,size=20%");
  need_directory("/tmp", 01777);
  if (chmod("/tmp", 01777) < 0) rs_fail("chmod", "/tmp");
  for (size_t i = 0; i < count; i++) place_bind(binds[i], trees[i]);
  for (size_t i = 0; i < config->count; i++)
    if (!strcmp(config->records[i].key, "file")) write_file(&config->records[i]);
  free(trees);
  free(binds);
}

void rs_rootfs_protect(void) {
  // The lists of the OCI runtimes, and what else speaks of the whole machine.
  static const char *const masked[] = {
    "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/kmsg", "/proc/kallsyms",
    "/proc/latency_stats", "/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/proc/vmallocinfo",
    "/sys/firmware", "/sys/fs/cgroup", "/sys/fs/bpf", "/sys/kernel", "/sys/devices/virtual/powercap", "/sys/block",
    "/sys/module", "/sys/hypervisor", NULL};
  static const char *const read_only[] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger", NULL};
  for (size_t i = 0; masked[i]; i++) mask(masked[i]);
  for (size_t i = 0; read_only[i]; i++) make_read_only(read_only[i]);
}
