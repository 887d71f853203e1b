#ifndef CProcess_h
#define CProcess_h

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/// What to run. Every pointer stays the caller's and must live until rs_process_run returns.
typedef struct {
  /// Absolute path of the file to execute; no PATH search, no shell.
  const char *path;
  /// NULL-terminated; argv[0] is the name the program sees.
  const char *const *argv;
  /// NULL-terminated NAME=value strings: the whole environment.
  const char *const *envp;
  /// Working directory; NULL means "/".
  const char *cwd;
  /// Non-zero: become uid/gid with exactly these supplementary groups before the program starts.
  int change_user;
  uid_t uid;
  gid_t gid;
  const gid_t *groups;
  size_t group_count;
  /// One deadline for exit and for the end of both outputs, in milliseconds.
  int64_t timeout_ms;
  /// From SIGTERM to SIGKILL, in milliseconds.
  int64_t grace_ms;
} rs_process_spec;

/// How it ended.
typedef struct {
  /// 0, or the errno of the step that failed before the program ran.
  int spawn_errno;
  /// What was being done then: a static string such as "execve".
  const char *spawn_step;
  /// Non-zero: the program had not exited at the deadline and its process group was ended.
  int timed_out;
  /// Non-zero: the program exited, but something else still held this output at the deadline.
  int stdout_open;
  int stderr_open;
  /// The exit code, or -1 when a signal ended the program; then `signal` is its number.
  int exit_code;
  int signal;
} rs_process_result;

/// Called on the calling thread for every piece of output: stream 1 is stdout, 2 is stderr.
typedef void (*rs_process_output)(void *context, int stream, const uint8_t *bytes, size_t count);

/// Runs a program in its own session with stdin at end of file and waits for exit and the end of both outputs. Blocks its thread;
/// sleeps in poll(2) and never spins. Answers 0, or an errno when nothing could be started at all.
/// A program without an interpreter line runs under /bin/sh, as a shell would do it.
int rs_process_run(const rs_process_spec *spec, rs_process_output output, void *context, rs_process_result *result);

/// The supplementary groups of a user. Answers their number, or -1 when `capacity` is too small.
int rs_process_groups(const char *user, gid_t gid, gid_t *groups, int capacity);

#endif
