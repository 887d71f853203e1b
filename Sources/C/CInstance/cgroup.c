// Limits before the first instruction: the driver planned directories, files and values; here they are only carried out.
#include "internal.h"

#include <fcntl.h>
#include <sys/stat.h>

static void write_value(const char *path, const char *value, int optional) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0 && optional && errno == ENOENT) return;
  if (fd < 0) rs_fail("open cgroup file", path);
  if (write(fd, value, strlen(value)) < 0) rs_fail("write cgroup file", path);
  close(fd);
}

// Records keep their order: `cgroup-dir PATH`, `cgroup-write PATH\nVALUE` (`cgroup-try`: unless the kernel lacks the file),
// `cgroup-tasks PATH`.
// A v1 hierarchy is joined by writing 0 to `tasks` from the only thread: that path takes no global lock, `cgroup.procs` waits
// for an RCU grace period.
void rs_cgroup_prepare(const struct rs_config *config) {
  for (size_t i = 0; i < config->count; i++) {
    const struct rs_record *record = &config->records[i];
    if (!strcmp(record->key, "cgroup-dir")) {
      if (mkdir(record->value, 0755) < 0 && errno != EEXIST) rs_fail("make cgroup", record->value);
    } else if (!strcmp(record->key, "cgroup-write") || !strcmp(record->key, "cgroup-try")) {
      char *split = strchr(record->value, '\n');
      errno = EINVAL;
      if (!split) rs_fail("parse cgroup value", record->value);
      *split = 0;
      write_value(record->value, split + 1, !strcmp(record->key, "cgroup-try"));
    } else if (!strcmp(record->key, "cgroup-tasks")) {
      write_value(record->value, "0", 0);
    }
  }
}

int rs_cgroup_unified_fd(const struct rs_config *config) {
  const char *path = rs_config_get(config, "cgroup-unified");
  if (!path) return -1;
  int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) rs_fail("open cgroup", path);
  return fd;
}
