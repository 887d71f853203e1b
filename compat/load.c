// A closed-loop HTTP/1.1 load generator for loopback: each connection sends a ready-made request, waits for the answer, sends the next.
// Usage: load PORT CONNECTIONS SECONDS FILE [MOST]
// FILE: requests one after the other, each as a 32-bit little-endian length and its bytes. They are used in turn.
// Prints one JSON object. One thread: the server keeps the other cores.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { HEAD = 16384, MOST_CONNECTIONS = 512 };

struct request { const char *bytes; size_t size; };

struct connection {
  int fd;
  size_t sent;             // of the request
  const struct request *request;
  double begun;            // seconds
  char head[HEAD];
  size_t head_size;        // bytes of the head collected
  int in_body, chunked, closes, status;
  long long left;          // bytes of the body still to come
  int end_matched;         // of the end of a chunked body, "\r\n0\r\n\r\n"
};

static struct request *requests;
static size_t request_count, next_request;
static int port;
static float *times;
static size_t time_count, time_room;
static unsigned long long errors, reconnects, body_bytes;
static char first_bad[200];

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static _Noreturn void fail(const char *what) {
  fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
  exit(1);
}

static void read_requests(const char *path) {
  FILE *file = fopen(path, "rb");
  if (!file) fail(path);
  uint32_t size;
  size_t room = 0;
  while (fread(&size, 4, 1, file) == 1) {
    char *bytes = malloc(size);
    if (!bytes || fread(bytes, 1, size, file) != size) fail("read the requests");
    if (request_count == room) {
      room = room ? room * 2 : 64;
      requests = realloc(requests, room * sizeof *requests);
      if (!requests) fail("memory");
    }
    requests[request_count++] = (struct request){bytes, size};
  }
  fclose(file);
  if (!request_count) { fprintf(stderr, "load: no requests in %s\n", path); exit(1); }
}

static void open_connection(struct connection *c) {
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&address, sizeof address) < 0) fail("connect");
  int one = 1;
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  fcntl(c->fd, F_SETFL, O_NONBLOCK);
}

/// Sends what the socket takes. Answers -1 when the connection is broken.
static int send_some(struct connection *c) {
  while (c->sent < c->request->size) {
    ssize_t wrote = send(c->fd, c->request->bytes + c->sent, c->request->size - c->sent, MSG_NOSIGNAL);
    if (wrote < 0) return errno == EAGAIN ? 0 : -1;
    c->sent += (size_t)wrote;
  }
  return 0;
}

static void begin(struct connection *c) {
  c->request = &requests[next_request++ % request_count];
  c->sent = c->head_size = 0;
  c->in_body = c->chunked = c->end_matched = c->status = 0;
  c->left = -1;
  c->begun = now();
}

static const char *header(const char *head, const char *name) {
  size_t size = strlen(name);
  for (const char *line = strstr(head, "\r\n"); line; line = strstr(line, "\r\n")) {
    line += 2;
    if (!strncasecmp(line, name, size) && line[size] == ':') return line + size + 1;
  }
  return NULL;
}

static void read_head(struct connection *c) {
  const char *value;
  sscanf(c->head, "HTTP/1.%*d %d", &c->status);
  c->closes = !strncmp(c->head, "HTTP/1.0", 8);
  if ((value = header(c->head, "connection"))) {
    while (*value == ' ') value++;
    c->closes = !strncasecmp(value, "close", 5);
  }
  if ((value = header(c->head, "content-length"))) c->left = atoll(value);
  else if (header(c->head, "transfer-encoding")) c->chunked = 1;
  else if (c->status == 204 || c->status == 304) c->left = 0;
  c->in_body = 1;
}

/// The last bytes of a chunked body are "0\r\n\r\n". Good enough for answers whose text does not hold them.
static int chunked_end(struct connection *c, const char *bytes, size_t size) {
  static const char mark[] = "0\r\n\r\n";
  for (size_t i = 0; i < size; i++) {
    if (bytes[i] == mark[c->end_matched]) c->end_matched++;
    else c->end_matched = bytes[i] == mark[0];
    if (c->end_matched == 5) return 1;
  }
  return 0;
}

/// Takes bytes of the answer. Answers 1 when it is complete.
static int take(struct connection *c, char *bytes, size_t size) {
  if (!c->in_body) {
    size_t room = HEAD - 1 - c->head_size, part = size < room ? size : room;
    memcpy(c->head + c->head_size, bytes, part);
    size_t before = c->head_size;
    c->head_size += part;
    c->head[c->head_size] = 0;
    char *end = strstr(c->head, "\r\n\r\n");
    if (!end) return 0;
    size_t used = (size_t)(end + 4 - c->head) - before;
    end[2] = 0;
    read_head(c);
    bytes += used;
    size -= used;
  }
  body_bytes += size;
  if (c->chunked) return chunked_end(c, bytes, size);
  if (c->left >= 0) c->left -= (long long)size;
  return c->left == 0;
}

static void ended(struct connection *c) {
  double took = now() - c->begun;
  if (c->status < 200 || c->status > 299) {
    errors++;
    if (!first_bad[0]) snprintf(first_bad, sizeof first_bad, "status %d", c->status);
    return;
  }
  if (time_count == time_room) {
    time_room = time_room ? time_room * 2 : 1 << 16;
    times = realloc(times, time_room * sizeof *times);
    if (!times) fail("memory");
  }
  times[time_count++] = (float)took;
}

static int by_size(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return (x > y) - (x < y);
}

static double share(double part) {
  if (!time_count) return 0;
  size_t at = (size_t)(part * (double)(time_count - 1) + 0.5);
  return (double)times[at] * 1000;
}

static void restart(struct connection *c, int poll) {
  close(c->fd);
  reconnects++;
  open_connection(c);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
  epoll_ctl(poll, EPOLL_CTL_ADD, c->fd, &event);
}

/// Waits for less or more: for room to send as long as a request is not out.
static void arm(struct connection *c, int poll) {
  struct epoll_event event = {.events = EPOLLIN | (c->sent < c->request->size ? EPOLLOUT : 0), .data.ptr = c};
  epoll_ctl(poll, EPOLL_CTL_MOD, c->fd, &event);
}

static void go(struct connection *c, int poll) {
  begin(c);
  if (send_some(c) < 0) {
    restart(c, poll);
    c->sent = 0;
    if (send_some(c) < 0) errors++;
  }
  if (c->sent < c->request->size) arm(c, poll);
}

int main(int argc, char **argv) {
  if (argc < 5) { fprintf(stderr, "usage: load PORT CONNECTIONS SECONDS FILE [MOST]\n"); return 64; }
  port = atoi(argv[1]);
  int count = atoi(argv[2]);
  double seconds = atof(argv[3]);
  size_t most = argc > 5 ? strtoull(argv[5], NULL, 10) : (size_t)-1;
  if (count < 1 || count > MOST_CONNECTIONS || seconds <= 0 || seconds > 120) { fprintf(stderr, "load: out of range\n"); return 64; }
  read_requests(argv[4]);
  struct connection *all = calloc((size_t)count, sizeof *all);
  static char buffer[1 << 18];
  int poll = epoll_create1(EPOLL_CLOEXEC);
  if (!all || poll < 0) fail("begin");
  double begun = now(), end = begun + seconds;
  for (int i = 0; i < count; i++) {
    open_connection(&all[i]);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &all[i]};
    epoll_ctl(poll, EPOLL_CTL_ADD, all[i].fd, &event);
    go(&all[i], poll);
  }
  size_t done = 0;
  while (now() < end && done < most) {
    struct epoll_event ready[64];
    int found = epoll_wait(poll, ready, 64, 100);
    for (int i = 0; i < found && done < most; i++) {
      struct connection *c = ready[i].data.ptr;
      if (ready[i].events & EPOLLOUT) {
        if (send_some(c) < 0) { errors++; restart(c, poll); go(c, poll); continue; }
        if (c->sent == c->request->size) arm(c, poll);
      }
      if (!(ready[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))) continue;
      ssize_t got = recv(c->fd, buffer, sizeof buffer, 0);
      if (got < 0 && errno == EAGAIN) continue;
      int complete = got > 0 ? take(c, buffer, (size_t)got) : c->in_body && c->left < 0 && !c->chunked;
      if (got <= 0 && !complete) {
        errors++;
        if (!first_bad[0]) snprintf(first_bad, sizeof first_bad, "connection closed in the middle");
      }
      if (got > 0 && !complete) continue;
      if (complete) { ended(c); done++; }
      if (got <= 0 || c->closes) restart(c, poll);
      go(c, poll);
    }
  }
  double took = now() - begun;
  qsort(times, time_count, sizeof *times, by_size);
  printf("{\"requests\":%zu,\"errors\":%llu,\"first_error\":\"%s\",\"reconnects\":%llu,\"seconds\":%.4f,\"rps\":%.2f,"
         "\"p50_ms\":%.4f,\"p90_ms\":%.4f,\"p99_ms\":%.4f,\"max_ms\":%.4f,\"body_bytes\":%llu}\n",
         time_count, errors, first_bad, reconnects, took, (double)time_count / took, share(0.5), share(0.9), share(0.99), share(1),
         body_bytes);
  return 0;
}
