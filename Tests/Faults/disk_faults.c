// A disk that fails on demand, for a program that it is preloaded into. The file that VMOPS_DISK_FAULTS names says how:
// "ERRNO MILLISECONDS PATH": calls that write below PATH fail with that errno (0 = succeed), after so many
// milliseconds. It is mapped, so that a change is in force at once; it must be 4096 bytes long.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static const char *control;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("VMOPS_DISK_FAULTS");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (map != MAP_FAILED) control = map;
}

// 0, or -1 with errno set.
static int fault(const char *path) {
    int code = 0, pause = 0;
    char prefix[1024];
    if (!control || control[0] == 0 || !path) return 0;
    if (sscanf(control, "%d %d %1023s", &code, &pause, prefix) != 3) return 0;
    if (strncmp(path, prefix, strlen(prefix)) != 0) return 0;
    if (pause > 0) usleep(pause * 1000);
    if (code == 0) return 0;
    errno = code;
    return -1;
}

static int fault_of(int file) {
    char link[64], path[1024];
    if (!control || control[0] == 0) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return fault(path);
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define WRITER(result, name, parameters, arguments)          \
    result name parameters {                                 \
        static __typeof__(&name) next;                       \
        if (!next) next = NEXT(name);                        \
        return fault_of(file) ? -1 : next arguments;         \
    }

WRITER(ssize_t, write, (int file, const void *data, size_t count), (file, data, count))
WRITER(ssize_t, pwrite, (int file, const void *data, size_t count, off_t at), (file, data, count, at))
WRITER(ssize_t, pwrite64, (int file, const void *data, size_t count, off64_t at), (file, data, count, at))
WRITER(ssize_t, writev, (int file, const struct iovec *parts, int count), (file, parts, count))
WRITER(ssize_t, pwritev, (int file, const struct iovec *parts, int count, off_t at), (file, parts, count, at))
WRITER(int, fsync, (int file), (file))
WRITER(int, fdatasync, (int file), (file))
WRITER(int, ftruncate, (int file, off_t size), (file, size))
WRITER(int, ftruncate64, (int file, off64_t size), (file, size))
WRITER(int, fallocate, (int file, int mode, off_t at, off_t size), (file, mode, at, size))

#define NAMER(name, parameters, arguments)                   \
    int name parameters {                                    \
        static __typeof__(&name) next;                       \
        if (!next) next = NEXT(name);                        \
        return fault(path) ? -1 : next arguments;            \
    }

NAMER(rename, (const char *path, const char *to), (path, to))
NAMER(link, (const char *path, const char *to), (path, to))
NAMER(unlink, (const char *path), (path))
NAMER(mkdir, (const char *path, mode_t mode), (path, mode))
NAMER(rmdir, (const char *path), (path))

#define OPENER(name)                                                                     \
    int name(const char *path, int flags, ...) {                                         \
        static int (*next)(const char *, int, ...);                                      \
        va_list more;                                                                    \
        va_start(more, flags);                                                           \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;          \
        va_end(more);                                                                    \
        if (!next) next = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, #name);      \
        if (flags & (O_CREAT | O_TRUNC) && fault(path)) return -1;                       \
        return next(path, flags, mode);                                                  \
    }

OPENER(open)
OPENER(open64)
