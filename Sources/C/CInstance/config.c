// The launcher's configuration: records of [u16 key size][key][u32 value size][value], host byte order, written by the driver.
#include "internal.h"

#include <fcntl.h>
#include <stdarg.h>
#include <sys/stat.h>

void rs_report(const char *format, ...) {
  char line[1024];
  va_list arguments;
  va_start(arguments, format);
  int size = vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  if (size < 0) return;
  if (size >= (int)sizeof line) size = sizeof line - 1;
  ssize_t ignored = write(RS_STATUS_FD, line, (size_t)size);
  (void)ignored;
}

_Noreturn void rs_fail(const char *step, const char *detail) {
  int code = errno;
  rs_report("error %s%s%s: %s (errno %d)\n", step, detail ? " " : "", detail ? detail : "", strerror(code), code);
  _exit(1);
}

struct rs_config rs_config_read(const char *path) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) rs_fail("open configuration", path);
  struct stat status;
  if (fstat(fd, &status) < 0) rs_fail("stat configuration", path);
  size_t size = (size_t)status.st_size, have = 0;
  char *bytes = malloc(size + 1);
  if (!bytes) rs_fail("read configuration", path);
  while (have < size) {
    ssize_t got = read(fd, bytes + have, size - have);
    if (got <= 0) rs_fail("read configuration", path);
    have += (size_t)got;
  }
  close(fd);

  struct rs_config config = {0};
  size_t at = 0, room = 0;
  errno = EINVAL;
  while (at < size) {
    uint16_t key_size;
    uint32_t value_size;
    if (size - at < sizeof key_size) rs_fail("parse configuration", path);
    memcpy(&key_size, bytes + at, sizeof key_size);
    at += sizeof key_size;
    if (size - at < key_size + sizeof value_size) rs_fail("parse configuration", path);
    char *key = strndup(bytes + at, key_size);
    at += key_size;
    memcpy(&value_size, bytes + at, sizeof value_size);
    at += sizeof value_size;
    if (size - at < value_size) rs_fail("parse configuration", path);
    char *value = malloc((size_t)value_size + 1);
    if (!key || !value) rs_fail("parse configuration", path);
    memcpy(value, bytes + at, value_size);
    value[value_size] = 0;
    at += value_size;
    if (config.count == room) {
      room = room ? room * 2 : 32;
      config.records = realloc(config.records, room * sizeof *config.records);
      if (!config.records) rs_fail("parse configuration", path);
    }
    config.records[config.count++] = (struct rs_record){key, value, value_size};
  }
  free(bytes);
  return config;
}

const char *rs_config_get(const struct rs_config *config, const char *key) {
  for (size_t i = 0; i < config->count; i++)
    if (!strcmp(config->records[i].key, key)) return config->records[i].value;
  return NULL;
}

const char *rs_config_need(const struct rs_config *config, const char *key) {
  const char *value = rs_config_get(config, key);
  if (value) return value;
  errno = EINVAL;
  rs_fail("configuration lacks", key);
}

char **rs_config_all(const struct rs_config *config, const char *key) {
  char **values = calloc(config->count + 1, sizeof *values);
  if (!values) rs_fail("read configuration", key);
  size_t found = 0;
  for (size_t i = 0; i < config->count; i++)
    if (!strcmp(config->records[i].key, key)) values[found++] = config->records[i].value;
  return values;
}
