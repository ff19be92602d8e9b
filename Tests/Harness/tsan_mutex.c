// Tells the thread sanitizer of Swift's Mutex. Its fast path is compiled into the tests and seen; a contended one goes
// through the Swift runtime, which is not instrumented, so that everything a Mutex protects would look like a race.
// Preloaded by `run-tests --sanitize thread`; does nothing in programs without the sanitizer.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>

#define SWIFT __attribute__((swiftcall))
#define SELF __attribute__((swift_context))

extern void __tsan_acquire(void *address) __attribute__((weak));
extern void __tsan_release(void *address) __attribute__((weak));

typedef SWIFT void (*lock_slow)(uint32_t thread, SELF void *mutex);
typedef SWIFT void (*unlock_slow)(SELF void *mutex);
typedef SWIFT _Bool (*try_slow)(SELF void *mutex);

#define LOCK "$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF"
#define UNLOCK "$s15Synchronization12_MutexHandleV11_unlockSlowyyF"
#define TRY "$s15Synchronization12_MutexHandleV12_tryLockSlowSbyF"

SWIFT void vmops_lock(uint32_t thread, SELF void *mutex) __asm__(LOCK);
SWIFT void vmops_unlock(SELF void *mutex) __asm__(UNLOCK);
SWIFT _Bool vmops_try(SELF void *mutex) __asm__(TRY);

SWIFT void vmops_lock(uint32_t thread, SELF void *mutex) {
    static lock_slow next;
    if (!next) next = (lock_slow)dlsym(RTLD_NEXT, LOCK);
    next(thread, mutex);
    if (__tsan_acquire) __tsan_acquire(mutex);
}

SWIFT void vmops_unlock(SELF void *mutex) {
    static unlock_slow next;
    if (!next) next = (unlock_slow)dlsym(RTLD_NEXT, UNLOCK);
    if (__tsan_release) __tsan_release(mutex);
    next(mutex);
}

SWIFT _Bool vmops_try(SELF void *mutex) {
    static try_slow next;
    if (!next) next = (try_slow)dlsym(RTLD_NEXT, TRY);
    _Bool locked = next(mutex);
    if (locked && __tsan_acquire) __tsan_acquire(mutex);
    return locked;
}
