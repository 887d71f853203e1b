// PID 1 of an instance: reaps, keeps the console log, runs user data once, keeps the agent running, shuts down on SIGTERM.
#include "internal.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>

// The console log is cut to its newest half when it grows beyond this.
#define CONSOLE_LIMIT (512 * 1024)
#define SHUTDOWN_LIMIT_SECONDS 90

enum { SIGNALS, OUTPUT, CONSOLE, SYSLOG, USER_DATA, TIMER, SOURCES };

struct init {
  struct rs_init_files files;
  struct pollfd source[SOURCES];
  int output;     // write end of what the agent prints to
  int user_data_log;
  off_t console_size;
  char **agent;
  pid_t agent_pid, user_data_pid;
  int stopping;
};

static void keep_console_small(struct init *init) {
  static char newest[CONSOLE_LIMIT / 2];
  ssize_t size = pread(init->files.console, newest, sizeof newest, init->console_size - (off_t)sizeof newest);
  if (size < 0 || ftruncate(init->files.console, 0) < 0) return;
  init->console_size = write(init->files.console, newest, (size_t)size);
}

static void to_console(struct init *init, const char *bytes, size_t size) {
  ssize_t wrote = write(init->files.console, bytes, size);
  if (wrote > 0) init->console_size += wrote;
  if (init->console_size > CONSOLE_LIMIT) keep_console_small(init);
}

static void say(struct init *init, const char *format, ...) {
  char line[512];
  int used = snprintf(line, sizeof line, "roadstead-init: ");
  va_list arguments;
  va_start(arguments, format);
  used += vsnprintf(line + used, sizeof line - (size_t)used - 1, format, arguments);
  va_end(arguments);
  if (used > (int)sizeof line - 2) used = sizeof line - 2;
  line[used++] = '\n';
  to_console(init, line, (size_t)used);
}

/// Copies what has come in to the console, and to the second file if there is one.
static void drain(struct init *init, int source, int second) {
  char bytes[16384];
  for (int round = 0; round < 16; round++) {
    ssize_t size = read(init->source[source].fd, bytes, sizeof bytes);
    if (size <= 0) return;
    to_console(init, bytes, (size_t)size);
    if (second >= 0) {
      ssize_t ignored = write(second, bytes, (size_t)size);
      (void)ignored;
    }
  }
}

static void drain_syslog(struct init *init) {
  char bytes[2048];
  for (int round = 0; round < 64; round++) {
    ssize_t size = recv(init->source[SYSLOG].fd, bytes, sizeof bytes - 1, MSG_DONTWAIT);
    if (size <= 0) return;
    bytes[size] = 0;
    // `<priority>message`, as syslog(3) sends it.
    char *text = bytes, *end = bytes[0] == '<' ? strchr(bytes, '>') : NULL;
    if (end) text = end + 1;
    size_t length = strlen(text);
    to_console(init, text, length);
    if (!length || text[length - 1] != '\n') to_console(init, "\n", 1);
  }
}

static pid_t start(char *const argv[], int output) {
  // LIBDISPATCH_LOG: Swift's dispatch library would tell syslog of every thread whose priority it may not raise here.
  char *const environment[] = {
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "USER=root", "LOGNAME=root",
    "SHELL=/bin/sh", "LANG=C.UTF-8", "TERM=linux", "container=roadstead", "LIBDISPATCH_LOG=NO", NULL};
  pid_t pid = fork();
  if (pid) return pid;
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  signal(SIGPIPE, SIG_DFL);
  setsid();
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  dup2(null, 0);
  dup2(output, 1);
  dup2(output, 2);
  execve(argv[0], argv, environment);
  dprintf(2, "roadstead-init: cannot run %s: %s\n", argv[0], strerror(errno));
  _exit(127);
}

static void start_agent(struct init *init) {
  if (!init->agent[0] || init->stopping) return;
  init->agent_pid = start(init->agent, init->output);
  if (init->agent_pid < 0) say(init, "cannot start the agent: %s", strerror(errno));
}

static void arm(struct init *init, int seconds) {
  struct itimerspec when = {.it_value.tv_sec = seconds};
  timerfd_settime(init->source[TIMER].fd, 0, &when, NULL);
}

/// Runs user data at the first boot only: the marker is made before the script starts, as cloud-init does, so a crash inside does
/// not make it run twice.
static void start_user_data(struct init *init, const struct rs_config *config) {
  const char *script = rs_config_get(config, "user-data"), *marker = rs_config_get(config, "user-data-marker");
  if (!script || !marker) return;
  int fd = open(marker, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (fd < 0) {
    if (errno != EEXIST) say(init, "user data not run: cannot create %s: %s", marker, strerror(errno));
    return;
  }
  fsync(fd);
  close(fd);
  char begin[2] = {0};
  fd = open(script, O_RDONLY | O_CLOEXEC);
  ssize_t size = fd < 0 ? -1 : read(fd, begin, 2);
  if (fd >= 0) close(fd);
  if (size != 2 || memcmp(begin, "#!", 2)) {
    say(init, "user data not run: it does not begin with #! (cloud-config and MIME user data are not supported)");
    return;
  }
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) < 0) {
    say(init, "user data not run: %s", strerror(errno));
    return;
  }
  fcntl(ends[0], F_SETFL, O_NONBLOCK);
  init->source[USER_DATA] = (struct pollfd){.fd = ends[0], .events = POLLIN};
  init->user_data_log = open("/var/log/cloud-init-output.log", O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0640);
  char *const argv[] = {(char *)script, NULL};
  init->user_data_pid = start(argv, ends[1]);
  close(ends[1]);
  if (init->user_data_pid < 0) say(init, "user data not run: %s", strerror(errno));
}

static void say_end(struct init *init, const char *what, int status, const char *then) {
  if (WIFSIGNALED(status)) say(init, "%s ended by signal %d%s", what, WTERMSIG(status), then);
  else say(init, "%s ended with status %d%s", what, WEXITSTATUS(status), then);
}

/// Answers whether any child is left.
static int reap(struct init *init) {
  int status;
  pid_t pid;
  while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
    if (pid == init->agent_pid) {
      init->agent_pid = -1;
      drain(init, OUTPUT, -1);
      say_end(init, "agent", status, init->stopping ? "" : "; starting it again in 1 s");
      if (!init->stopping) arm(init, 1);
    } else if (pid == init->user_data_pid) {
      init->user_data_pid = -1;
      drain(init, USER_DATA, init->user_data_log);
      say_end(init, "user data", status, "");
    }
  }
  return pid == 0;
}

static int syslog_socket(void) {
  struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -1;
  if (bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && chmod("/dev/log", 0666) == 0) return fd;
  close(fd);
  return -1;
}

static _Noreturn void finish(struct init *init) {
  drain(init, OUTPUT, -1);
  drain(init, CONSOLE, -1);
  drain_syslog(init);
  say(init, "stopped");
  ssize_t ignored = write(init->files.exit_status, "0\n", 2);
  (void)ignored;
  _exit(0);
}

static void begin_shutdown(struct init *init) {
  if (init->stopping) return;
  init->stopping = 1;
  say(init, "stopping");
  kill(-1, SIGTERM);
  kill(-1, SIGCONT);
  arm(init, SHUTDOWN_LIMIT_SECONDS);
}

static void open_sources(struct init *init) {
  sigset_t wanted;
  sigemptyset(&wanted);
  sigaddset(&wanted, SIGCHLD);
  sigaddset(&wanted, SIGTERM);
  sigaddset(&wanted, SIGINT);
  sigaddset(&wanted, SIGPWR);
  sigprocmask(SIG_SETMASK, &wanted, NULL);
  signal(SIGPIPE, SIG_IGN);
  int ends[2] = {-1, -1};
  if (pipe2(ends, O_CLOEXEC) < 0) _exit(70);
  fcntl(ends[0], F_SETFL, O_NONBLOCK);
  init->output = ends[1];
  for (int i = 0; i < SOURCES; i++) init->source[i] = (struct pollfd){.fd = -1, .events = POLLIN};
  init->source[SIGNALS].fd = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
  init->source[OUTPUT].fd = ends[0];
  // Opened for writing too, so that it never ends.
  init->source[CONSOLE].fd = open("/dev/console", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  init->source[SYSLOG].fd = syslog_socket();
  init->source[TIMER].fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  if (init->source[SIGNALS].fd < 0 || init->source[TIMER].fd < 0) _exit(70);
}

static void on_signals(struct init *init) {
  struct signalfd_siginfo info;
  while (read(init->source[SIGNALS].fd, &info, sizeof info) == sizeof info)
    if (info.ssi_signo != SIGCHLD) begin_shutdown(init);
  if (!reap(init) && init->stopping) finish(init);
}

static void on_timer(struct init *init) {
  uint64_t count;
  if (read(init->source[TIMER].fd, &count, sizeof count) != sizeof count) return;
  if (init->stopping) kill(-1, SIGKILL);
  else start_agent(init);
}

_Noreturn void rs_init_run(const struct rs_config *config, struct rs_init_files files) {
  struct init init = {
    .files = files, .agent = rs_config_all(config, "agent"), .agent_pid = -1, .user_data_pid = -1, .user_data_log = -1};
  init.console_size = lseek(files.console, 0, SEEK_END);
  open_sources(&init);
  start_agent(&init);
  start_user_data(&init, config);
  for (;;) {
    if (poll(init.source, SOURCES, -1) < 0 && errno != EINTR) _exit(70);
    if (init.source[OUTPUT].revents) drain(&init, OUTPUT, -1);
    if (init.source[CONSOLE].revents) drain(&init, CONSOLE, -1);
    if (init.source[SYSLOG].revents) drain_syslog(&init);
    if (init.source[USER_DATA].revents & POLLIN) {
      drain(&init, USER_DATA, init.user_data_log);
    } else if (init.source[USER_DATA].revents) {
      close(init.source[USER_DATA].fd);
      init.source[USER_DATA].fd = -1;
    }
    if (init.source[TIMER].revents) on_timer(&init);
    if (init.source[SIGNALS].revents) on_signals(&init);
  }
}
