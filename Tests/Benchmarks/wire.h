/* What the load generator and the echo servers share: connections, oslo.messaging's topology, and frames encoded
   into one growing buffer so that any number of them leaves in one write. Every function that fails prints one line
   on standard error and ends the process: a benchmark with a broken connection has no figure to report. */

#ifndef VMOPS_BENCHMARKS_WIRE_H
#define VMOPS_BENCHMARKS_WIRE_H

#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_tcp_socket.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer {
  unsigned char *bytes;
  size_t length;
  size_t capacity;
};

/* Ends the process with status 1 and a line on standard error. */
void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* Monotonic time in nanoseconds. */
uint64_t now(void);

void buffer_reserve(struct buffer *buffer, size_t more);
void buffer_append(struct buffer *buffer, const void *bytes, size_t length);

/* A logged-in connection with channel 1 open and heartbeats off. `url` may start with amqp:// or rabbit://; an
   absent or empty path is the virtual host "/". */
amqp_connection_state_t broker_connect(const char *url);

/* Fails the process unless the last synchronous call on the connection succeeded. */
void expect_ok(amqp_connection_state_t connection, const char *what);

/* The topology of an RPC server with default options, in the order of oslo.messaging wire, section 2.2, and its
   three consumers. */
void declare_server(amqp_connection_state_t connection, const char *exchange, const char *topic, const char *server);

/* The reply queue of a client (oslo.messaging wire, section 2.3) and its consumer. */
void declare_reply_queue(amqp_connection_state_t connection, const char *name, const char *tag);

/* Appends basic.publish, content header and body frames with the properties of every oslo.messaging message
   (section 3). `expiration` is NULL for everything but calls. */
void append_publish(struct buffer *buffer, const char *exchange, amqp_bytes_t key, bool mandatory,
                    const char *expiration, const void *body, size_t length, size_t frame_max);

/* Appends basic.ack. */
void append_ack(struct buffer *buffer, uint64_t tag, bool multiple);

/* The properties above, for the callers of amqp_basic_publish. */
void fill_properties(amqp_basic_properties_t *properties, const char *expiration);

/* Sends everything, waiting for the socket where it must; the buffer is empty afterwards. */
void flush_buffer(struct buffer *buffer, int descriptor);

/* 32 hexadecimal digits from the system's random source, and a terminating NUL. */
void random_hex(char text[33]);

#endif
