#ifndef VMOPS_CMICROHTTPD_SHIM_H
#define VMOPS_CMICROHTTPD_SHIM_H

#include <microhttpd.h>

/* MHD_start_daemon takes variable arguments, which Swift does not import. One own thread, an own listening socket,
   bounded connections, memory and waiting. */
static inline struct MHD_Daemon *vmops_start_http(int listen_socket, unsigned int connections, unsigned int seconds,
                                                  MHD_AccessHandlerCallback handler, void *context) {
    return MHD_start_daemon(MHD_USE_AUTO | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_ITC, 0, NULL, NULL, handler,
                            context, MHD_OPTION_LISTEN_SOCKET, listen_socket, MHD_OPTION_CONNECTION_LIMIT, connections,
                            MHD_OPTION_CONNECTION_TIMEOUT, seconds, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)16384,
                            MHD_OPTION_END);
}

#endif
