// The instance metadata service's listening socket, 169.254.169.254:80 inside the instance.
//
// A socket bound to that address and port would keep every web server in the instance from binding 0.0.0.0:80. So it is bound to
// another port, and a socket look-up program (Linux 5.9) on the instance's network namespace hands it the connections to port 80 of
// that one address, ahead of whatever listens on the wildcard. Init holds socket and program: nothing inside can take their place,
// and the metadata plane may come, go and come back, while connections wait in the backlog.
#include "internal.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#define METADATA_ADDRESS 0xa9fea9feu
// Port 1 of the link-local address: nobody looks for anything there.
#define BOUND_PORT 1

static int bpf(int command, union bpf_attr *attributes) {
  return (int)syscall(SYS_bpf, command, attributes, sizeof *attributes);
}

static struct bpf_insn op(int code, int target, int source, int offset, int value) {
  return (struct bpf_insn){
    .code = (uint8_t)code, .dst_reg = (uint8_t)target & 15, .src_reg = (uint8_t)source & 15, .off = (int16_t)offset, .imm = value};
}

static int load_program(int map) {
  const int load_word = BPF_LDX | BPF_MEM | BPF_W, move = BPF_ALU64 | BPF_MOV;
  // Where "not for us" is answered; jumps count from the instruction after them.
  const int pass = 17;
  struct bpf_insn code[] = {
    /* 0*/ op(move | BPF_X, BPF_REG_6, BPF_REG_1, 0, 0),
    /* 1*/ op(load_word, BPF_REG_2, BPF_REG_6, offsetof(struct bpf_sk_lookup, local_port), 0),
    /* 2*/ op(BPF_JMP | BPF_JNE | BPF_K, BPF_REG_2, 0, pass - 3, 80),
    /* 3*/ op(load_word, BPF_REG_2, BPF_REG_6, offsetof(struct bpf_sk_lookup, local_ip4), 0),
    /* 4*/ op(BPF_JMP32 | BPF_JNE | BPF_K, BPF_REG_2, 0, pass - 5, (int)htonl(METADATA_ADDRESS)),
    /* 5*/ op(BPF_ST | BPF_MEM | BPF_W, BPF_REG_10, 0, -4, 0),
    /* 6*/ op(BPF_LD | BPF_DW | BPF_IMM, BPF_REG_1, BPF_PSEUDO_MAP_FD, 0, map),
    /* 7*/ op(0, 0, 0, 0, 0),
    /* 8*/ op(move | BPF_X, BPF_REG_2, BPF_REG_10, 0, 0),
    /* 9*/ op(BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_2, 0, 0, -4),
    /*10*/ op(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem),
    /*11*/ op(BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_0, 0, pass - 12, 0),
    /*12*/ op(move | BPF_X, BPF_REG_7, BPF_REG_0, 0, 0),
    /*13*/ op(move | BPF_X, BPF_REG_1, BPF_REG_6, 0, 0),
    /*14*/ op(move | BPF_X, BPF_REG_2, BPF_REG_7, 0, 0),
    /*15*/ op(move | BPF_K, BPF_REG_3, 0, 0, 0),
    /*16*/ op(BPF_JMP | BPF_JA, 0, 0, 2, 0),
    /*17*/ op(move | BPF_K, BPF_REG_0, 0, 0, SK_PASS),
    /*18*/ op(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
    /*19*/ op(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_sk_assign),
    /*20*/ op(move | BPF_X, BPF_REG_1, BPF_REG_7, 0, 0),
    /*21*/ op(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_sk_release),
    /*22*/ op(move | BPF_K, BPF_REG_0, 0, 0, SK_PASS),
    /*23*/ op(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
  };
  union bpf_attr attributes = {
    .prog_type = BPF_PROG_TYPE_SK_LOOKUP, .expected_attach_type = BPF_SK_LOOKUP, .insns = (uint64_t)(uintptr_t)code,
    .insn_cnt = sizeof code / sizeof *code, .license = (uint64_t)(uintptr_t) "Apache-2.0"};
  return bpf(BPF_PROG_LOAD, &attributes);
}

/// Directs connections to 169.254.169.254:80 to the socket. Answers the link that keeps it so, or -1 with errno set.
static int direct_to(int socket_fd) {
  union bpf_attr make = {.map_type = BPF_MAP_TYPE_SOCKMAP, .key_size = 4, .value_size = 8, .max_entries = 1};
  int map = bpf(BPF_MAP_CREATE, &make);
  if (map < 0) return -1;
  uint32_t key = 0;
  uint64_t value = (uint64_t)socket_fd;
  union bpf_attr fill = {
    .map_fd = (uint32_t)map, .key = (uint64_t)(uintptr_t)&key, .value = (uint64_t)(uintptr_t)&value, .flags = BPF_ANY};
  if (bpf(BPF_MAP_UPDATE_ELEM, &fill) < 0) return -1;
  int program = load_program(map), namespace = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  if (program < 0 || namespace < 0) return -1;
  union bpf_attr attach = {
    .link_create = {.prog_fd = (uint32_t)program, .target_fd = (uint32_t)namespace, .attach_type = BPF_SK_LOOKUP}};
  int link = bpf(BPF_LINK_CREATE, &attach);
  // The link holds the program, which holds the map, which holds the socket.
  close(map);
  close(program);
  close(namespace);
  return link;
}

void rs_metadata_bind(int descriptors[2]) {
  struct sockaddr_in address = {
    .sin_family = AF_INET, .sin_port = htons(BOUND_PORT), .sin_addr.s_addr = htonl(METADATA_ADDRESS)};
  int result = rs_address_add("lo", address.sin_addr.s_addr, 32);
  errno = -result;
  if (result < 0) rs_fail("add address", "169.254.169.254");
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
  if (fd < 0) rs_fail("make metadata socket", NULL);
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0) rs_fail("bind metadata socket", NULL);
  if (listen(fd, 256) < 0) rs_fail("listen on metadata socket", NULL);
  int link = direct_to(fd);
  if (link < 0) rs_fail("direct 169.254.169.254:80 to the metadata socket", "(bpf socket look-up)");
  descriptors[0] = fd;
  descriptors[1] = link;
}
