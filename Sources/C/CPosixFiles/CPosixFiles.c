#define _GNU_SOURCE
#include "CPosixFiles.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static ssize_t copy_by_hand(int from, off_t offset, int to, size_t count) {
  char buffer[65536];
  ssize_t got;
  do {
    got = pread(from, buffer, count < sizeof buffer ? count : sizeof buffer, offset);
  } while (got < 0 && errno == EINTR);
  if (got <= 0) return got;
  for (ssize_t done = 0; done < got;) {
    ssize_t put = write(to, buffer + done, (size_t)(got - done));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return -1;
    done += put;
  }
  return got;
}

ssize_t rs_copy_range(int from, int64_t offset, int to, size_t count) {
  off_t position = (off_t)offset;
  ssize_t copied;
  do {
    copied = copy_file_range(from, &position, to, NULL, count, 0);
  } while (copied < 0 && errno == EINTR);
  if (copied < 0 && (errno == EXDEV || errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP || errno == EPERM)) {
    return copy_by_hand(from, (off_t)offset, to, count);
  }
  return copied;
}

void rs_begin_writeback(int file, int64_t offset, int64_t count) {
  sync_file_range(file, (off64_t)offset, (off64_t)count, SYNC_FILE_RANGE_WRITE);
}

void rs_expect_sequential(int file) { posix_fadvise(file, 0, 0, POSIX_FADV_SEQUENTIAL); }
