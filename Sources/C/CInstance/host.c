// Starting and watching processes from the region's side.
#include "internal.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static int prepare_session(posix_spawnattr_t *attributes) {
  int result = posix_spawnattr_init(attributes);
  if (result) return result;
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(attributes, &none);
  posix_spawnattr_setsigdefault(attributes, &all);
  return posix_spawnattr_setflags(
    attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
}

int rs_spawn_launcher(const char *launcher, const char *config_path, pid_t *pid, int *status_fd) {
  int status[2];
  if (pipe2(status, O_CLOEXEC) < 0) return -errno;
  // dup2 onto the same number would keep close-on-exec set.
  if (status[1] == RS_STATUS_FD) {
    int moved = fcntl(status[1], F_DUPFD_CLOEXEC, RS_STATUS_FD + 1);
    if (moved < 0) return -errno;
    close(status[1]);
    status[1] = moved;
  }
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_t actions;
  int result = prepare_session(&attributes);
  if (!result) {
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    posix_spawn_file_actions_adddup2(&actions, status[1], RS_STATUS_FD);
    char *const arguments[] = {(char *)launcher, "__instance-launch", (char *)config_path, NULL};
    char *const environment[] = {NULL};
    result = posix_spawn(pid, launcher, &actions, &attributes, arguments, environment);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
  }
  close(status[1]);
  if (result) {
    close(status[0]);
    return -result;
  }
  *status_fd = status[0];
  return 0;
}

int rs_spawn_detached(char *const argv[], const char *log_path, pid_t *pid) {
  extern char **environ;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_t actions;
  int result = prepare_session(&attributes);
  if (result) return -result;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, log_path, O_WRONLY | O_CREAT | O_APPEND, 0600);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
#if defined(__GLIBC__) && (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 34)
  posix_spawn_file_actions_addclosefrom_np(&actions, 3);
#endif
  result = posix_spawn(pid, argv[0], &actions, &attributes, argv, environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  return -result;
}

int rs_wait_child(pid_t pid) {
  int status;
  while (waitpid(pid, &status, 0) < 0)
    if (errno != EINTR) return -errno;
  return status;
}

int rs_pidfd_open(pid_t pid) {
  long fd = syscall(SYS_pidfd_open, pid, 0);
  return fd < 0 ? -errno : (int)fd;
}

int rs_pidfd_signal(int pidfd, int signal) {
  return syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0) < 0 ? -errno : 0;
}

int rs_pidfd_getfd(int pidfd, int fd) {
  long copy = syscall(SYS_pidfd_getfd, pidfd, fd, 0);
  return copy < 0 ? -errno : (int)copy;
}

int rs_pidfd_wait(int pidfd, int timeout_ms) {
  struct pollfd entry = {.fd = pidfd, .events = POLLIN};
  int result;
  while ((result = poll(&entry, 1, timeout_ms)) < 0)
    if (errno != EINTR) return -errno;
  return result > 0;
}
