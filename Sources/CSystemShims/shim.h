#ifndef VMOPS_CSYSTEMSHIMS_SHIM_H
#define VMOPS_CSYSTEMSHIMS_SHIM_H

/* Linux calls that the Glibc module leaves out. The GNU ones are declared here because their headers hide them
   unless _GNU_SOURCE was defined before the first libc header, which a clang module cannot arrange. */

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/xattr.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <unistd.h>

int pipe2(int descriptors[2], int flags);
int accept4(int socket, struct sockaddr *address, unsigned int *length, int flags);
pid_t gettid(void);
int pthread_setname_np(pthread_t thread, const char *name);
int posix_spawn_file_actions_addchdir_np(posix_spawn_file_actions_t *actions, const char *path);
int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t *actions, int from);
long syscall(long number, ...);

/* pidfd: numbers are the same on every architecture that has them. */

static inline int vmops_pidfd_open(pid_t pid) { return (int)syscall(434, pid, 0); }

static inline int vmops_pidfd_send_signal(int descriptor, int number) {
  return (int)syscall(424, descriptor, number, (void *)0, 0);
}

/* F_SETPIPE_SZ; the size in force, or -1. */
static inline int vmops_set_pipe_size(int descriptor, int bytes) { return fcntl(descriptor, 1031, bytes); }

/* A close-on-exec duplicate with a number of at least `lowest`, or -1. */
static inline int vmops_duplicate(int descriptor, int lowest) {
  return fcntl(descriptor, F_DUPFD_CLOEXEC, lowest);
}

/* One send on a stream socket that never waits and raises no SIGPIPE; `descriptor` goes along unless it is negative. */
static inline ssize_t vmops_send_with_fd(int socket, const void *bytes, size_t count, int descriptor) {
  union {
    struct cmsghdr header;
    char room[CMSG_SPACE(sizeof(int))];
  } control;
  struct iovec piece = {(void *)bytes, count};
  struct msghdr message;
  memset(&message, 0, sizeof message);
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  if (descriptor >= 0) {
    memset(&control, 0, sizeof control);
    message.msg_control = control.room;
    message.msg_controllen = sizeof control.room;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &descriptor, sizeof(int));
  }
  return sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Starts a program in a session of its own with default signals. `input`, `output` and `errors` become descriptors 0, 1
   and 2; a negative `input` is /dev/null. The three must lie above all targets. sources[i] becomes descriptor targets[i] (3 and up, each once); the sources must lie above all targets. Every other
   descriptor is closed. Returns 0, or an error number; a program that cannot be executed is such an error. */
static inline int vmops_spawn_detached(pid_t *pid, const char *path, char *const arguments[], char *const environment[],
                                       const char *directory, int input, int output, int errors,
                                       const int *sources, const int *targets, int count) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  sigset_t none, all;
  int last = 2, error, i, number;
  if ((error = posix_spawn_file_actions_init(&actions)) != 0) return error;
  if ((error = posix_spawnattr_init(&attributes)) != 0) {
    posix_spawn_file_actions_destroy(&actions);
    return error;
  }
  for (i = 0; i < count; i++) if (targets[i] > last) last = targets[i];
  error = input < 0 ? posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
                    : posix_spawn_file_actions_adddup2(&actions, input, 0);
  if (!error) error = posix_spawn_file_actions_adddup2(&actions, output, 1);
  if (!error) error = posix_spawn_file_actions_adddup2(&actions, errors, 2);
  for (number = 3; !error && number <= last; number++) {
    int source = -1;
    for (i = 0; i < count; i++) if (targets[i] == number) source = sources[i];
    error = source < 0 ? posix_spawn_file_actions_addclose(&actions, number)
                       : posix_spawn_file_actions_adddup2(&actions, source, number);
  }
  if (!error) error = posix_spawn_file_actions_addclosefrom_np(&actions, last + 1);
  if (!error) error = posix_spawn_file_actions_addchdir_np(&actions, directory);
  sigemptyset(&none);
  sigfillset(&all);
  if (!error) error = posix_spawnattr_setsigmask(&attributes, &none);
  if (!error) error = posix_spawnattr_setsigdefault(&attributes, &all);
  if (!error) {
    error = posix_spawnattr_setflags(&attributes,
                                     POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | 0x80 /* POSIX_SPAWN_SETSID */);
  }
  if (!error) error = posix_spawn(pid, path, &actions, &attributes, arguments, environment);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return error;
}
ssize_t splice(int from, loff_t *from_offset, int to, loff_t *to_offset, size_t count, unsigned int flags);
ssize_t tee(int from, int to, size_t count, unsigned int flags);
int close_range(unsigned int first, unsigned int last, int flags);

/* prctl takes its arguments unnamed, which Swift does not call. */
static inline int vmops_set_dumpable(int dumpable) { return prctl(PR_SET_DUMPABLE, dumpable, 0, 0, 0); }

/* CLOSE_RANGE_CLOEXEC. */
static inline int vmops_close_all_on_exec(void) { return close_range(3, ~0U, 4); }

#endif
