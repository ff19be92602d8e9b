#ifndef VMOPS_CJANSSON_SHIM_H
#define VMOPS_CJANSSON_SHIM_H

#include <jansson.h>

#endif
