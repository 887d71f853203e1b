#define _GNU_SOURCE
#include "CProcess.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// Between fork and execve only async-signal-safe calls happen: other threads of the parent may have held any lock at the fork.
// A vforked child also shares the parent's memory: it writes only to its own frame.

enum { STEP_SESSION, STEP_STDIN, STEP_OUTPUT, STEP_GROUPS, STEP_GROUP, STEP_USER, STEP_DIRECTORY, STEP_EXECUTE };
static const char *const step_names[] = {"setsid", "open /dev/null", "dup2", "setgroups", "setgid", "setuid", "chdir", "execve"};

struct failure {
  int step;
  int code;
};

static void close_above(int lowest, int kept) {
#ifdef SYS_close_range
  if (kept > lowest) syscall(SYS_close_range, (unsigned)lowest, (unsigned)kept - 1, 0u);
  if (syscall(SYS_close_range, (unsigned)(kept >= lowest ? kept + 1 : lowest), ~0u, 0u) == 0) return;
#endif
  for (int fd = lowest; fd < 4096; fd++)
    if (fd != kept) close(fd);
}

static void fail(int report, int step) {
  struct failure message = {step, errno};
  (void)!write(report, &message, sizeof message);
  _exit(127);
}

__attribute__((noinline)) static void child(const rs_process_spec *spec, int out, int err, int report) {
  if (setsid() < 0) fail(report, STEP_SESSION);
  // The pipes' ends may themselves be 0, 1 or 2 when the parent was started without them: move them up first.
  out = fcntl(out, F_DUPFD, 10);
  err = fcntl(err, F_DUPFD, 10);
  report = fcntl(report, F_DUPFD_CLOEXEC, 10);
  if (out < 0 || err < 0 || report < 0) _exit(127);
  int null = open("/dev/null", O_RDONLY);
  if (null < 0) fail(report, STEP_STDIN);
  if (null != 0 && dup2(null, 0) < 0) fail(report, STEP_STDIN);
  if (dup2(out, 1) < 0 || dup2(err, 2) < 0) fail(report, STEP_OUTPUT);
  close_above(3, report);
  for (int number = 1; number < NSIG; number++) {
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigaction(number, &action, NULL);
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  if (spec->change_user) {
    // Raw calls: glibc's wrappers talk to the other threads, of which a forked child has none.
    if (syscall(SYS_setgroups, spec->group_count, spec->groups) < 0) fail(report, STEP_GROUPS);
    if (syscall(SYS_setresgid, spec->gid, spec->gid, spec->gid) < 0) fail(report, STEP_GROUP);
    if (syscall(SYS_setresuid, spec->uid, spec->uid, spec->uid) < 0) fail(report, STEP_USER);
  }
  if (chdir(spec->cwd ? spec->cwd : "/") < 0) fail(report, STEP_DIRECTORY);
  execve(spec->path, (char *const *)spec->argv, (char *const *)spec->envp);
  if (errno == ENOEXEC) {
    const char *shell[64] = {"/bin/sh", spec->path};
    int count = 2;
    for (int i = 1; spec->argv[i] && count < 63; i++) shell[count++] = spec->argv[i];
    execve("/bin/sh", (char *const *)shell, (char *const *)spec->envp);
  }
  fail(report, STEP_EXECUTE);
}

static int64_t now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

// Reads what there is; closes the descriptor at its end.
static void drain(int *fd, int stream, rs_process_output output, void *context) {
  uint8_t buffer[65536];
  ssize_t count = read(*fd, buffer, sizeof buffer);
  if (count > 0) {
    output(context, stream, buffer, (size_t)count);
  } else if (count == 0 || (errno != EINTR && errno != EAGAIN)) {
    close(*fd);
    *fd = -1;
  }
}

// Stands in for pidfd_open on kernels and in sandboxes without it.
struct waiter {
  pid_t pid;
  int end;
};
static void *wait_for_exit(void *argument) {
  struct waiter *waiter = argument;
  siginfo_t info;
  while (waitid(P_PID, (id_t)waiter->pid, &info, WEXITED | WNOWAIT) < 0 && errno == EINTR) {
  }
  close(waiter->end);
  return NULL;
}

struct watch {
  pid_t pid;
  int fd, out, err;
  int exited;
};

// Polls until everything has ended or the moment has come.
static void follow(struct watch *w, int64_t until, rs_process_output output, void *context) {
  while (!w->exited || w->out >= 0 || w->err >= 0) {
    int64_t left = until - now_ms();
    if (left < 0) left = 0;
    struct pollfd fds[3] = {{w->exited ? -1 : w->fd, POLLIN, 0}, {w->out, POLLIN, 0}, {w->err, POLLIN, 0}};
    int ready = poll(fds, 3, left > 1000000000 ? 1000000000 : (int)left);
    if (ready < 0 && errno != EINTR) return;
    if (ready == 0 && now_ms() >= until) return;
    if (ready <= 0) continue;
    if (fds[1].revents) drain(&w->out, 1, output, context);
    if (fds[2].revents) drain(&w->err, 2, output, context);
    if (fds[0].revents) w->exited = 1;
    if (now_ms() >= until) return;
  }
}

static int reap(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

static void supervise(struct watch *w, const rs_process_spec *spec, rs_process_output output, void *context, rs_process_result *result) {
  follow(w, now_ms() + spec->timeout_ms, output, context);
  if (!w->exited) {
    result->timed_out = 1;
    // The leader is not reaped before the last kill, so the group's number cannot belong to anybody else by then.
    kill(-w->pid, SIGTERM);
    follow(w, now_ms() + spec->grace_ms, output, context);
    kill(-w->pid, SIGKILL);
  }
  int status = reap(w->pid);
  if (result->timed_out) follow(w, now_ms() + 100, output, context);
  result->stdout_open = !result->timed_out && w->out >= 0;
  result->stderr_open = !result->timed_out && w->err >= 0;
  result->exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  result->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  if (w->out >= 0) close(w->out);
  if (w->err >= 0) close(w->err);
}

int rs_process_run(const rs_process_spec *spec, rs_process_output output, void *context, rs_process_result *result) {
  memset(result, 0, sizeof *result);
  result->exit_code = -1;
  int pipes[3][2] = {{-1, -1}, {-1, -1}, {-1, -1}};
  int code = 0;
  for (int i = 0; i < 3 && code == 0; i++)
    if (pipe2(pipes[i], O_CLOEXEC) < 0) code = errno;

  sigset_t every, before;
  sigfillset(&every);
  pthread_sigmask(SIG_SETMASK, &every, &before);
  // Copying the page tables of a grown agent costs more than the rest of the start. Not with a change of user: a process of that
  // user could look into the shared memory until execve.
  pid_t pid = code ? -1 : spec->change_user ? fork() : vfork();
  if (pid == 0) child(spec, pipes[0][1], pipes[1][1], pipes[2][1]);
  if (pid < 0 && code == 0) code = errno;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  for (int i = 0; i < 3; i++)
    if (pipes[i][1] >= 0) close(pipes[i][1]);
  if (code) {
    for (int i = 0; i < 3; i++)
      if (pipes[i][0] >= 0) close(pipes[i][0]);
    return code;
  }

  struct failure message;
  ssize_t count;
  while ((count = read(pipes[2][0], &message, sizeof message)) < 0 && errno == EINTR) {
  }
  close(pipes[2][0]);
  if (count == (ssize_t)sizeof message) {
    result->spawn_errno = message.code;
    result->spawn_step = step_names[message.step];
    reap(pid);
    close(pipes[0][0]);
    close(pipes[1][0]);
    return 0;
  }

  struct watch w = {pid, -1, pipes[0][0], pipes[1][0], 0};
  pthread_t thread;
  int threaded = 0;
  struct waiter waiter = {pid, -1};
#ifdef SYS_pidfd_open
  w.fd = (int)syscall(SYS_pidfd_open, pid, 0);
#endif
  if (w.fd < 0) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) == 0) {
      w.fd = ends[0];
      waiter.end = ends[1];
      threaded = pthread_create(&thread, NULL, wait_for_exit, &waiter) == 0;
      if (!threaded) close(ends[1]);
    }
    if (!threaded) {
      code = EAGAIN;
      kill(-pid, SIGKILL);
    }
  }
  supervise(&w, spec, output, context, result);
  if (threaded) pthread_join(thread, NULL);
  if (w.fd >= 0) close(w.fd);
  return code;
}

int rs_process_groups(const char *user, gid_t gid, gid_t *groups, int capacity) {
  int count = capacity;
  return getgrouplist(user, gid, groups, &count) < 0 ? -1 : count;
}
