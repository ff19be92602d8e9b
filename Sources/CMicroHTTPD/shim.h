#ifndef VMOPS_CMICROHTTPD_SHIM_H
#define VMOPS_CMICROHTTPD_SHIM_H

#include <microhttpd.h>

#endif
