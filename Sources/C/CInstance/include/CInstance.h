#ifndef CInstance_h
#define CInstance_h

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// What Swift cannot do safely itself: start a process tree in its own namespaces, talk rtnetlink, pass sockets between processes.
// Every function answers 0 (or a descriptor) on success and a negative errno on failure, unless it says otherwise.

// ---- The launcher ------------------------------------------------------------------------------------------------------------

/// The launcher's entry, reached as `<binary> __instance-launch CONFIG`. Must run while the process has one thread only.
/// Reports on descriptor 3: `pid N` once init exists, then `ready`, or `error STEP: REASON`. Answers the exit status.
int rs_instance_main(int argc, char **argv);
/// Whether argv names a hidden subcommand that `rs_instance_main` serves.
int rs_instance_wants(int argc, char **argv);
/// Starts the launcher in a session of its own, with nothing inherited but the status pipe, whose reading end goes to `status_fd`.
int rs_spawn_launcher(const char *launcher, const char *config_path, pid_t *pid, int *status_fd);
/// Starts `argv` in a session of its own with /dev/null as input and `log_path` (appended) as output. The pid goes to `pid`.
int rs_spawn_detached(char *const argv[], const char *log_path, pid_t *pid);
/// Waits for a child and answers its wait status, or a negative errno.
int rs_wait_child(pid_t pid);

/// The descriptor under which every init holds its metadata service's listening socket.
#define RS_METADATA_FD 9

/// Whether files of this directory can be mounted with shifted ids, as a user namespace of an instance needs it.
int rs_userns_probe(const char *directory);

// ---- Processes ---------------------------------------------------------------------------------------------------------------

int rs_pidfd_open(pid_t pid);
int rs_pidfd_signal(int pidfd, int signal);
/// A copy of another process's descriptor `fd`.
int rs_pidfd_getfd(int pidfd, int fd);
/// 1 when the process behind the pidfd has ended, 0 when `timeout_ms` passed first (-1: no limit).
int rs_pidfd_wait(int pidfd, int timeout_ms);

// ---- Files -------------------------------------------------------------------------------------------------------------------

/// Writes a file so that other processes see all of it or nothing: temporary name, then rename; `durable`: fsync before that.
int rs_write_atomic(const char *path, const void *bytes, size_t count, unsigned mode, int durable);
/// Removes a tree without following symbolic links. A path that does not exist is no error.
int rs_remove_tree(const char *path);
/// Copies a regular file's content, owner, mode, times and extended attributes. Answers the bytes copied or a negative errno.
int64_t rs_copy_file(const char *from, const char *to);
/// Copies owner, mode and times of a directory or symbolic link.
int rs_copy_attributes(const char *from, const char *to);
/// An inotify descriptor that reports files moved into, closed after writing in, or deleted from a directory.
int rs_watch_directory(const char *path);
/// Blocks until something happened in the directory, drops the details, answers 0.
int rs_watch_wait(int fd);
/// Opens (creating, mode 0600) and locks a file for this process. When another holds it: waits, or -EWOULDBLOCK without `wait`.
int rs_lock_file(const char *path, int wait);

// ---- Network (the calling process's own network namespace) -------------------------------------------------------------------

/// A bridge with this hardware address (6 bytes) and IPv4 address (network byte order), up. Keeps one that is there.
int rs_bridge_ensure(const char *name, const uint8_t *mac, uint32_t address, int prefix);
/// Forgets where the bridge finds an address (network byte order) that `launch` made known; one that is not there is no error.
int rs_neighbour_delete(const char *bridge, uint32_t address);
/// Deletes an interface; one that is not there is no error.
int rs_link_delete(const char *name);

#endif
