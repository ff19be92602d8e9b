#ifndef VMOPS_CZLIB_SHIM_H
#define VMOPS_CZLIB_SHIM_H

#include <zlib.h>

/* inflateInit2 is a macro in the library, hence unusable from Swift. */
static inline int vmops_inflate_init(z_streamp stream, int window_bits) {
    return inflateInit2(stream, window_bits);
}

#endif
