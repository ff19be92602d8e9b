/* Preloaded into a process: counts its allocations and the system calls of its message loop, in a file that others
   map and read while the process runs. $VMOPS_COUNTS names the file. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The order is that in which the reader expects them. */
static struct counts {
  _Atomic uint64_t allocations, polls, receives, sends;
} unread, *counts = &unread;

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("VMOPS_COUNTS");
  if (!path) return;
  int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0 || ftruncate(file, sizeof *counts) != 0) return;
  void *memory = mmap(NULL, sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (memory != MAP_FAILED) counts = memory;
  close(file);
}

extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t),
    *__libc_memalign(size_t, size_t);

void *malloc(size_t size) {
  counts->allocations++;
  return __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
  counts->allocations++;
  return __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size) {
  counts->allocations++;
  return __libc_realloc(memory, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
  counts->allocations++;
  return __libc_memalign(alignment, size);
}

int posix_memalign(void **memory, size_t alignment, size_t size) {
  counts->allocations++;
  *memory = __libc_memalign(alignment, size);
  return *memory ? 0 : ENOMEM;
}

int poll(struct pollfd *entries, nfds_t count, int timeout) {
  counts->polls++;
  return (int)syscall(SYS_poll, entries, count, timeout);
}

ssize_t recv(int descriptor, void *bytes, size_t size, int flags) {
  counts->receives++;
  return syscall(SYS_recvfrom, descriptor, bytes, size, flags, NULL, NULL);
}

ssize_t send(int descriptor, const void *bytes, size_t size, int flags) {
  counts->sends++;
  return syscall(SYS_sendto, descriptor, bytes, size, flags, NULL, 0);
}
