#ifndef VMOPS_CCRYPTO_SHIM_H
#define VMOPS_CCRYPTO_SHIM_H

#include <openssl/evp.h>

#endif
