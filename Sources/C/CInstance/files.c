// File work that must not follow links, lose attributes or be seen half done.
#include "internal.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/xattr.h>

int rs_write_atomic(const char *path, const void *bytes, size_t count, unsigned mode, int durable) {
  char temporary[PATH_MAX];
  int size = snprintf(temporary, sizeof temporary, "%s.%d.tmp", path, (int)gettid());
  if (size < 0 || (size_t)size >= sizeof temporary) return -ENAMETOOLONG;
  int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, (mode_t)mode);
  if (fd < 0) return -errno;
  const char *at = bytes;
  while (count > 0) {
    ssize_t wrote = write(fd, at, count);
    if (wrote < 0) goto failed;
    at += wrote;
    count -= (size_t)wrote;
  }
  if (fchmod(fd, (mode_t)mode) < 0 || (durable && fsync(fd) < 0)) goto failed;
  close(fd);
  if (rename(temporary, path) == 0) return 0;
  int code = errno;
  unlink(temporary);
  return -code;
failed:
  code = errno;
  close(fd);
  unlink(temporary);
  return -code;
}

// An instance can nest directories deeper than descriptors last: what lies deeper than this is first moved up to the top.
#define DEEPEST 64

static int remove_below(int directory, int top, int depth, unsigned long *moved) {
  int copy = fcntl(directory, F_DUPFD_CLOEXEC, 0);
  DIR *stream = copy < 0 ? NULL : fdopendir(copy);
  if (!stream) {
    int code = errno;
    if (copy >= 0) close(copy);
    return -code;
  }
  rewinddir(stream);
  int result = 0;
  struct dirent *entry;
  while (!result && (errno = 0, entry = readdir(stream))) {
    const char *name = entry->d_name;
    if (!strcmp(name, ".") || !strcmp(name, "..")) continue;
    if (unlinkat(directory, name, 0) == 0 || errno == ENOENT) continue;
    if (errno != EISDIR && errno != EPERM) {
      result = -errno;
    } else if (depth >= DEEPEST) {
      char aside[64];
      snprintf(aside, sizeof aside, ".removing-%lu", (*moved)++);
      if (renameat(directory, name, top, aside) < 0) result = -errno;
    } else {
      int child = openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
      if (child < 0) result = -errno;
      else {
        result = remove_below(child, top, depth + 1, moved);
        close(child);
        if (!result && unlinkat(directory, name, AT_REMOVEDIR) < 0) result = -errno;
      }
    }
  }
  if (!result && errno) result = -errno;
  closedir(stream);
  return result;
}

int rs_remove_tree(const char *path) {
  if (unlink(path) == 0 || errno == ENOENT || errno == ENOTDIR) return 0;
  if (errno != EISDIR && errno != EPERM) return -errno;
  int top = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (top < 0) return -errno;
  unsigned long moved = 0, before;
  int result;
  do {
    before = moved;
    result = remove_below(top, top, 0, &moved);
  } while (!result && moved != before);
  close(top);
  if (!result && rmdir(path) < 0) result = -errno;
  return result;
}

static int copy_attributes(const char *from, const char *to, const struct stat *status) {
  if (lchown(to, status->st_uid, status->st_gid) < 0) return -errno;
  if (!S_ISLNK(status->st_mode) && chmod(to, status->st_mode & 07777) < 0) return -errno;
  char names[4096], value[4096];
  ssize_t size = llistxattr(from, names, sizeof names);
  for (char *name = names; size > 0 && name < names + size; name += strlen(name) + 1) {
    ssize_t length = lgetxattr(from, name, value, sizeof value);
    // File capabilities and ACLs; another security module's labels mean nothing in the copy.
    if (length < 0 || (strcmp(name, "security.capability") && strncmp(name, "system.posix_acl", 16))) continue;
    if (lsetxattr(to, name, value, (size_t)length, 0) < 0) return -errno;
  }
  struct timespec times[2] = {status->st_atim, status->st_mtim};
  return utimensat(AT_FDCWD, to, times, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

int rs_copy_attributes(const char *from, const char *to) {
  struct stat status;
  return lstat(from, &status) < 0 ? -errno : copy_attributes(from, to, &status);
}

int64_t rs_copy_file(const char *from, const char *to) {
  int source = open(from, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  if (source < 0) return -errno;
  int64_t result = -EIO;
  int target = open(to, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  struct stat status;
  if (target < 0 || fstat(source, &status) < 0) {
    result = -errno;
  } else {
    int64_t done = 0;
    for (;;) {
      ssize_t moved = sendfile(target, source, NULL, 1 << 24);
      if (moved < 0 && errno == EINTR) continue;
      if (moved <= 0) {
        result = moved < 0 ? -errno : done;
        break;
      }
      done += moved;
    }
  }
  if (target >= 0) close(target);
  close(source);
  if (result >= 0) {
    int failed = copy_attributes(from, to, &status);
    if (failed) result = failed;
  }
  return result;
}

int rs_watch_directory(const char *path) {
  int fd = inotify_init1(IN_CLOEXEC);
  if (fd < 0) return -errno;
  if (inotify_add_watch(fd, path, IN_MOVED_TO | IN_MOVED_FROM | IN_CLOSE_WRITE | IN_DELETE | IN_ONLYDIR) < 0) {
    int code = errno;
    close(fd);
    return -code;
  }
  return fd;
}

int rs_watch_wait(int fd) {
  char events[16384];
  for (;;) {
    ssize_t size = read(fd, events, sizeof events);
    if (size > 0) return 0;
    if (size == 0 || errno != EINTR) return size ? -errno : -EIO;
  }
}

int rs_lock_file(const char *path, int wait) {
  int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return -errno;
  while (flock(fd, LOCK_EX | (wait ? 0 : LOCK_NB)) < 0) {
    if (errno == EINTR) continue;
    int code = errno;
    close(fd);
    return -code;
  }
  return fd;
}
