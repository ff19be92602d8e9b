#define _GNU_SOURCE
#include "wire.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>

void die(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fprintf(stderr, "%s: ", program_invocation_short_name);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  va_end(arguments);
  exit(1);
}

uint64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

void buffer_reserve(struct buffer *buffer, size_t more) {
  if (buffer->length + more <= buffer->capacity) return;
  size_t capacity = buffer->capacity ? buffer->capacity : 4096;
  while (capacity < buffer->length + more) capacity *= 2;
  buffer->bytes = realloc(buffer->bytes, capacity);
  if (!buffer->bytes) die("out of memory");
  buffer->capacity = capacity;
}

void buffer_append(struct buffer *buffer, const void *bytes, size_t length) {
  buffer_reserve(buffer, length);
  memcpy(buffer->bytes + buffer->length, bytes, length);
  buffer->length += length;
}

void expect_ok(amqp_connection_state_t connection, const char *what) {
  amqp_rpc_reply_t reply = amqp_get_rpc_reply(connection);
  if (reply.reply_type == AMQP_RESPONSE_NORMAL) return;
  if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION) die("%s: %s", what, amqp_error_string2(reply.library_error));
  if (reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION && reply.reply.id == AMQP_CHANNEL_CLOSE_METHOD) {
    amqp_channel_close_t *close = reply.reply.decoded;
    die("%s: %d %.*s", what, close->reply_code, (int)close->reply_text.len, (char *)close->reply_text.bytes);
  }
  if (reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION && reply.reply.id == AMQP_CONNECTION_CLOSE_METHOD) {
    amqp_connection_close_t *close = reply.reply.decoded;
    die("%s: %d %.*s", what, close->reply_code, (int)close->reply_text.len, (char *)close->reply_text.bytes);
  }
  die("%s: no answer", what);
}

amqp_connection_state_t broker_connect(const char *url) {
  const char *rest = strstr(url, "://");
  if (!rest) die("not a URL: %s", url);
  char *text = NULL;
  struct amqp_connection_info info;
  if (asprintf(&text, "amqp%s", rest) < 0) die("out of memory");
  if (amqp_parse_url(text, &info) != AMQP_STATUS_OK) die("not an AMQP URL: %s", url);
  const char *vhost = *info.vhost ? info.vhost : "/";

  amqp_connection_state_t connection = amqp_new_connection();
  amqp_socket_t *socket = amqp_tcp_socket_new(connection);
  if (!socket) die("out of memory");
  int status = amqp_socket_open(socket, info.host, info.port);
  if (status != AMQP_STATUS_OK) die("connecting to %s:%d: %s", info.host, info.port, amqp_error_string2(status));
  amqp_rpc_reply_t login =
      amqp_login(connection, vhost, 0, AMQP_DEFAULT_FRAME_SIZE, 0, AMQP_SASL_METHOD_PLAIN, info.user, info.password);
  if (login.reply_type != AMQP_RESPONSE_NORMAL) die("login at %s:%d as %s refused", info.host, info.port, info.user);
  amqp_channel_open(connection, 1);
  expect_ok(connection, "channel.open");
  free(text);
  return connection;
}

static amqp_table_t expiring_queue(amqp_table_entry_t *entry) {
  entry->key = amqp_cstring_bytes("x-expires");
  entry->value.kind = AMQP_FIELD_KIND_I32;
  entry->value.value.i32 = 1800000;
  return (amqp_table_t){.num_entries = 1, .entries = entry};
}

static void declare_bound_queue(amqp_connection_state_t connection, const char *exchange, const char *queue) {
  amqp_bytes_t name = amqp_cstring_bytes(queue);
  amqp_exchange_declare(connection, 1, amqp_cstring_bytes(exchange), amqp_cstring_bytes("topic"), 0, 0, 0, 0,
                        amqp_empty_table);
  expect_ok(connection, "exchange.declare");
  amqp_queue_declare(connection, 1, name, 0, 0, 0, 0, amqp_empty_table);
  expect_ok(connection, "queue.declare");
  amqp_queue_bind(connection, 1, name, amqp_cstring_bytes(exchange), name, amqp_empty_table);
  expect_ok(connection, "queue.bind");
}

void declare_server(amqp_connection_state_t connection, const char *exchange, const char *topic, const char *server) {
  char *own = NULL, *fanout = NULL, *fanout_queue = NULL, hex[33];
  random_hex(hex);
  if (asprintf(&own, "%s.%s", topic, server) < 0 || asprintf(&fanout, "%s_fanout", topic) < 0 ||
      asprintf(&fanout_queue, "%s_fanout_%s", topic, hex) < 0)
    die("out of memory");
  declare_bound_queue(connection, exchange, topic);
  declare_bound_queue(connection, exchange, own);

  amqp_table_entry_t entry;
  amqp_exchange_declare(connection, 1, amqp_cstring_bytes(fanout), amqp_cstring_bytes("fanout"), 0, 0, 1, 0,
                        amqp_empty_table);
  expect_ok(connection, "exchange.declare");
  amqp_queue_declare(connection, 1, amqp_cstring_bytes(fanout_queue), 0, 0, 0, 0, expiring_queue(&entry));
  expect_ok(connection, "queue.declare");
  amqp_queue_bind(connection, 1, amqp_cstring_bytes(fanout_queue), amqp_cstring_bytes(fanout),
                  amqp_cstring_bytes(topic), amqp_empty_table);
  expect_ok(connection, "queue.bind");

  const char *queues[] = {topic, own, fanout_queue};
  const char *tags[] = {"1", "2", "3"};
  for (int index = 0; index < 3; index++) {
    amqp_basic_consume(connection, 1, amqp_cstring_bytes(queues[index]), amqp_cstring_bytes(tags[index]), 0, 0, 0,
                       amqp_empty_table);
    expect_ok(connection, "basic.consume");
  }
  free(own);
  free(fanout);
  free(fanout_queue);
}

void declare_reply_queue(amqp_connection_state_t connection, const char *name, const char *tag) {
  amqp_table_entry_t entry;
  amqp_queue_declare(connection, 1, amqp_cstring_bytes(name), 0, 0, 0, 0, expiring_queue(&entry));
  expect_ok(connection, "queue.declare");
  amqp_basic_consume(connection, 1, amqp_cstring_bytes(name), amqp_cstring_bytes(tag), 0, 0, 0, amqp_empty_table);
  expect_ok(connection, "basic.consume");
}

static void put16(unsigned char *at, uint32_t value) {
  at[0] = (unsigned char)(value >> 8);
  at[1] = (unsigned char)value;
}

static void put32(unsigned char *at, uint32_t value) {
  put16(at, value >> 16);
  put16(at + 2, value);
}

/* AMQP 0-9-1, section 4.2.3: type, channel, size; then the payload and 0xCE. */
static size_t begin_frame(struct buffer *buffer, unsigned char type) {
  size_t start = buffer->length;
  buffer_reserve(buffer, 7);
  buffer->bytes[start] = type;
  put16(buffer->bytes + start + 1, 1);
  buffer->length += 7;
  return start;
}

static void end_frame(struct buffer *buffer, size_t start) {
  put32(buffer->bytes + start + 3, (uint32_t)(buffer->length - start - 7));
  unsigned char end = AMQP_FRAME_END;
  buffer_append(buffer, &end, 1);
}

static void append_method(struct buffer *buffer, amqp_method_number_t id, void *method) {
  size_t start = begin_frame(buffer, AMQP_FRAME_METHOD);
  buffer_reserve(buffer, 1024);
  put32(buffer->bytes + buffer->length, id);
  buffer->length += 4;
  amqp_bytes_t room = {.len = buffer->capacity - buffer->length, .bytes = buffer->bytes + buffer->length};
  int length = amqp_encode_method(id, method, room);
  if (length < 0) die("encoding a method: %s", amqp_error_string2(length));
  buffer->length += (size_t)length;
  end_frame(buffer, start);
}

void fill_properties(amqp_basic_properties_t *properties, const char *expiration) {
  memset(properties, 0, sizeof *properties);
  properties->_flags = AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_CONTENT_ENCODING_FLAG | AMQP_BASIC_HEADERS_FLAG |
                       AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_PRIORITY_FLAG;
  properties->content_type = amqp_cstring_bytes("application/json");
  properties->content_encoding = amqp_cstring_bytes("utf-8");
  properties->delivery_mode = 2;
  if (!expiration) return;
  properties->_flags |= AMQP_BASIC_EXPIRATION_FLAG;
  properties->expiration = amqp_cstring_bytes(expiration);
}

void append_publish(struct buffer *buffer, const char *exchange, amqp_bytes_t key, bool mandatory,
                    const char *expiration, const void *body, size_t length, size_t frame_max) {
  amqp_basic_publish_t publish = {.exchange = amqp_cstring_bytes(exchange), .routing_key = key, .mandatory = mandatory};
  append_method(buffer, AMQP_BASIC_PUBLISH_METHOD, &publish);

  amqp_basic_properties_t properties;
  fill_properties(&properties, expiration);
  size_t start = begin_frame(buffer, AMQP_FRAME_HEADER);
  buffer_reserve(buffer, 1024);
  unsigned char *header = buffer->bytes + buffer->length;
  put16(header, AMQP_BASIC_CLASS);
  put16(header + 2, 0);
  put32(header + 4, (uint32_t)((uint64_t)length >> 32));
  put32(header + 8, (uint32_t)length);
  buffer->length += 12;
  amqp_bytes_t room = {.len = buffer->capacity - buffer->length, .bytes = buffer->bytes + buffer->length};
  int encoded = amqp_encode_properties(AMQP_BASIC_CLASS, &properties, room);
  if (encoded < 0) die("encoding properties: %s", amqp_error_string2(encoded));
  buffer->length += (size_t)encoded;
  end_frame(buffer, start);

  const unsigned char *rest = body;
  size_t largest = frame_max - 8;
  while (length > 0) {
    size_t part = length < largest ? length : largest;
    start = begin_frame(buffer, AMQP_FRAME_BODY);
    buffer_append(buffer, rest, part);
    end_frame(buffer, start);
    rest += part;
    length -= part;
  }
}

void append_ack(struct buffer *buffer, uint64_t tag, bool multiple) {
  amqp_basic_ack_t ack = {.delivery_tag = tag, .multiple = multiple};
  append_method(buffer, AMQP_BASIC_ACK_METHOD, &ack);
}

void flush_buffer(struct buffer *buffer, int descriptor) {
  size_t sent = 0;
  while (sent < buffer->length) {
    ssize_t count = send(descriptor, buffer->bytes + sent, buffer->length - sent, MSG_NOSIGNAL);
    if (count >= 0) {
      sent += (size_t)count;
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      struct pollfd wait = {.fd = descriptor, .events = POLLOUT};
      poll(&wait, 1, -1);
    } else if (errno != EINTR) {
      die("sending: %s", strerror(errno));
    }
  }
  buffer->length = 0;
}

void random_hex(char text[33]) {
  unsigned char bytes[16];
  if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes) die("no random bytes");
  for (int index = 0; index < 16; index++) sprintf(text + 2 * index, "%02x", bytes[index]);
}
