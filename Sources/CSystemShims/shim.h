#ifndef VMOPS_CSYSTEMSHIMS_SHIM_H
#define VMOPS_CSYSTEMSHIMS_SHIM_H

/* Linux calls that the Glibc module leaves out. The GNU ones are declared here because their headers hide them
   unless _GNU_SOURCE was defined before the first libc header, which a clang module cannot arrange. */

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/types.h>
#include <pthread.h>

int pipe2(int descriptors[2], int flags);
int accept4(int socket, struct sockaddr *address, unsigned int *length, int flags);
pid_t gettid(void);
int pthread_setname_np(pthread_t thread, const char *name);
int close_range(unsigned int first, unsigned int last, int flags);

/* prctl takes its arguments unnamed, which Swift does not call. */
static inline int vmops_set_dumpable(int dumpable) { return prctl(PR_SET_DUMPABLE, dumpable, 0, 0, 0); }

/* CLOSE_RANGE_CLOEXEC. */
static inline int vmops_close_all_on_exec(void) { return close_range(3, ~0U, 4); }

#endif
