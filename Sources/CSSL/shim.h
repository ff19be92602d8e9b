#ifndef VMOPS_CSSL_SHIM_H
#define VMOPS_CSSL_SHIM_H

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdint.h>
#include <sys/socket.h>

/* OpenSSL's own BIO for sockets calls write(), which raises SIGPIPE when the other side has gone. This one asks for an
   error instead. A call that the socket's time limit ends is told from a lost connection by errno. */

static inline int vmops_ssl_send(BIO *bio, const char *bytes, int count) {
    ssize_t sent;
    BIO_clear_retry_flags(bio);
    do {
        sent = send((int)(intptr_t)BIO_get_data(bio), bytes, (size_t)count, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    if (sent < 0 && errno == EAGAIN) BIO_set_retry_write(bio);
    return (int)sent;
}

static inline int vmops_ssl_receive(BIO *bio, char *bytes, int count) {
    ssize_t got;
    BIO_clear_retry_flags(bio);
    do {
        got = recv((int)(intptr_t)BIO_get_data(bio), bytes, (size_t)count, 0);
    } while (got < 0 && errno == EINTR);
    if (got < 0 && errno == EAGAIN) BIO_set_retry_read(bio);
    if (got == 0) errno = 0;
    return (int)got;
}

static inline long vmops_ssl_control(BIO *bio, int command, long number, void *pointer) {
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

/* To be freed after all sessions that use it. NULL without memory. */
static inline BIO_METHOD *vmops_ssl_make_method(void) {
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "migration socket");
    if (method == NULL) return NULL;
    BIO_meth_set_write(method, vmops_ssl_send);
    BIO_meth_set_read(method, vmops_ssl_receive);
    BIO_meth_set_ctrl(method, vmops_ssl_control);
    return method;
}

/* Has the session use the descriptor, which stays the caller's. Returns 1, or 0 without memory. */
static inline int vmops_ssl_use(SSL *session, const BIO_METHOD *method, int descriptor) {
    BIO *bio = BIO_new(method);
    if (bio == NULL) return 0;
    BIO_set_data(bio, (void *)(intptr_t)descriptor);
    BIO_set_init(bio, 1);
    SSL_set_bio(session, bio, bio);
    return 1;
}

/* Macros, which Swift does not import. */

static inline int vmops_ssl_require_tls13(SSL_CTX *context) {
    return (int)SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
}

static inline void vmops_ssl_forget_errors(void) {
    ERR_clear_error();
    errno = 0;
}

#endif
