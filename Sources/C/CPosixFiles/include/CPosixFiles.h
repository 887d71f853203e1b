#ifndef CPosixFiles_h
#define CPosixFiles_h

#include <stdint.h>
#include <sys/types.h>

/* Copies up to `count` bytes from `from` at `offset` to the end of `to` without taking them through this process where the kernel can.
   Answers the bytes copied (0 at the end of `from`), or -1 with errno. Falls back to a read and write of its own. */
ssize_t rs_copy_range(int from, int64_t offset, int to, size_t count);

/* Asks the kernel to begin writing this range to disk, without waiting. A hint: failure is no error. */
void rs_begin_writeback(int file, int64_t offset, int64_t count);

/* Says that the file will be read from front to back. A hint. */
void rs_expect_sequential(int file);

#endif
