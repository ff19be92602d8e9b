#define _GNU_SOURCE
#include "replies.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

enum { read_size = 256 * 1024 };

bool frames_fill(struct frame_reader *reader) {
  struct buffer *input = &reader->input;
  if (reader->consumed > 0) {
    memmove(input->bytes, input->bytes + reader->consumed, input->length - reader->consumed);
    input->length -= reader->consumed;
    reader->consumed = 0;
  }
  buffer_reserve(input, read_size);
  for (;;) {
    ssize_t count = recv(reader->descriptor, input->bytes + input->length, input->capacity - input->length,
                         MSG_DONTWAIT);
    if (count > 0) {
      input->length += (size_t)count;
      return true;
    }
    if (count == 0) die("the broker closed the connection");
    if (errno == EAGAIN || errno == EWOULDBLOCK) return false;
    if (errno != EINTR) die("receiving: %s", strerror(errno));
  }
}

static uint64_t number(const unsigned char *at, int bytes) {
  uint64_t value = 0;
  while (bytes-- > 0) value = value << 8 | *at++;
  return value;
}

static void read_method(struct frame_reader *reader, const unsigned char *payload, size_t size) {
  amqp_method_number_t id = (amqp_method_number_t)number(payload, 4);
  if (id == AMQP_BASIC_DELIVER_METHOD) {
    reader->delivery_tag = number(payload + 5 + payload[4], 8);
  } else if (id == AMQP_CHANNEL_CLOSE_METHOD || id == AMQP_CONNECTION_CLOSE_METHOD) {
    size_t length = size > 6 ? payload[6] : 0;
    die("the broker closed: %d %.*s", (int)number(payload + 4, 2), (int)length, (const char *)payload + 7);
  } else if (id != AMQP_BASIC_ACK_METHOD) {
    die("unexpected method 0x%08x", id);
  }
}

bool frames_next(struct frame_reader *reader, amqp_bytes_t *message) {
  for (;;) {
    const unsigned char *frame = reader->input.bytes + reader->consumed;
    size_t available = reader->input.length - reader->consumed;
    if (available < 8) return false;
    size_t size = (size_t)number(frame + 3, 4);
    if (available < size + 8) return false;
    const unsigned char *payload = frame + 7;
    reader->consumed += size + 8;
    if (payload[size] != AMQP_FRAME_END) die("a frame has no end");

    if (frame[0] == AMQP_FRAME_METHOD) {
      read_method(reader, payload, size);
    } else if (frame[0] == AMQP_FRAME_HEADER) {
      reader->body_size = number(payload + 4, 8);
      reader->body.length = 0;
      if (reader->body_size == 0) {
        *message = amqp_empty_bytes;
        return true;
      }
    } else if (frame[0] == AMQP_FRAME_BODY) {
      if (reader->body.length == 0 && size == reader->body_size) {
        *message = (amqp_bytes_t){.len = size, .bytes = (void *)payload};
        return true;
      }
      buffer_append(&reader->body, payload, size);
      if (reader->body.length == reader->body_size) {
        *message = (amqp_bytes_t){.len = reader->body.length, .bytes = reader->body.bytes};
        return true;
      }
    }
  }
}

/* Where the value of a member of the inner document starts, whatever spaces the writer leaves. Searches from the
   end, because a result may contain anything and stands in front. */
static const char *value_of(amqp_bytes_t message, const char *key) {
  const char *start = message.bytes, *end = start + message.len;
  size_t length = strlen(key);
  for (const char *at = end - length; at >= start; at--) {
    at = memrchr(start, key[0], (size_t)(at - start) + 1);
    if (!at) return NULL;
    if (memcmp(at, key, length) != 0) continue;
    at += length;
    while (at < end && (*at == ' ' || *at == ':')) at++;
    return at;
  }
  return NULL;
}

bool reply_read(amqp_bytes_t message, struct reply *reply) {
  if (message.len < 100) return false;
  const char *end = (const char *)message.bytes + message.len;
  const char *id = value_of(message, "\\\"_msg_id\\\"");
  const char *failure = value_of(message, "\\\"failure\\\"");
  const char *ending = value_of(message, "\\\"ending\\\"");
  if (!id || !failure || !ending || end - id < 34 || end - failure < 4 || end - ending < 4) return false;
  memcpy(reply->message_id, id + 2, 32);
  reply->message_id[32] = 0;
  reply->failed = memcmp(failure, "null", 4) != 0;
  reply->last = memcmp(ending, "true", 4) == 0;
  return true;
}
