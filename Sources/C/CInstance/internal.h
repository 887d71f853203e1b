#ifndef rs_internal_h
#define rs_internal_h
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "CInstance.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RS_STATUS_FD 3

/// One record of the configuration that Swift wrote; `value` has a NUL after its `size` bytes.
struct rs_record {
  const char *key;
  char *value;
  uint32_t size;
};

struct rs_config {
  struct rs_record *records;
  size_t count;
};

struct rs_config rs_config_read(const char *path);
/// The first record's value; a missing one ends the launch.
const char *rs_config_need(const struct rs_config *config, const char *key);
const char *rs_config_get(const struct rs_config *config, const char *key);
/// All values under a key as a NULL-terminated array.
char **rs_config_all(const struct rs_config *config, const char *key);

/// Reports `error STEP: DETAIL: strerror` on the status pipe and ends this process. The launcher goes on after no failure.
_Noreturn void rs_fail(const char *step, const char *detail);
void rs_report(const char *format, ...) __attribute__((format(printf, 1, 2)));

// cgroup.c
void rs_cgroup_prepare(const struct rs_config *config);
int rs_cgroup_unified_fd(const struct rs_config *config);
// userns.c
/// Whether the instance gets a user namespace, and the host's id of its root.
int rs_userns_first_id(const struct rs_config *config, unsigned *first);
int rs_userns_map(pid_t pid, unsigned first);
void rs_userns_mount_root(const struct rs_config *config, const char *root, unsigned first);
// rootfs.c
/// Mounts the instance's root and makes it this process's root.
void rs_rootfs_enter(const struct rs_config *config);
/// Hides what is the host's.
void rs_rootfs_protect(void);
// confine.c
void rs_confine(void);
// netlink.c
struct rs_veth {
  const char *host_name;
  const char *bridge;
  uint8_t mac[6];
  uint32_t address;
  pid_t pid;
};
int rs_veth_create(const struct rs_veth *veth);
int rs_link_up(const char *name);
int rs_address_add(const char *name, uint32_t address, int prefix);
int rs_default_route(uint32_t gateway);
int rs_parse_mac(const char *text, uint8_t *mac);
// metadata.c
/// The listening socket, and the link that directs connections to it.
void rs_metadata_bind(int descriptors[2]);
// init.c
struct rs_init_files {
  int console;
  int exit_status;
};
_Noreturn void rs_init_run(const struct rs_config *config, struct rs_init_files files);

#endif
