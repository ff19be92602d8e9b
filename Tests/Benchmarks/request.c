#define _GNU_SOURCE
#include "request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Stand for the two ids until the frames are built; no JSON text of a request contains them. */
#define MESSAGE_ID_TOKEN "#MESSAGE-ID--32-CHARACTERS-LONG#"
#define UNIQUE_ID_TOKEN "#UNIQUE-ID---32-CHARACTERS-LONG#"

static void append_text(struct buffer *buffer, const char *text) { buffer_append(buffer, text, strlen(text)); }

/* JSON text as it stands inside a JSON string. */
static void append_escaped(struct buffer *buffer, const char *text) {
  for (; *text; text++) {
    if (*text == '"' || *text == '\\') buffer_append(buffer, "\\", 1);
    buffer_append(buffer, text, 1);
  }
}

/* The members in the order, and with the context entries, that oslo.messaging wire, section 5 lists. */
static void write_call(struct buffer *body, const struct request_options *options) {
  append_text(body, "{\"oslo.version\": \"2.0\", \"oslo.message\": \"{\\\"method\\\": \\\"");
  append_text(body, options->method);
  append_text(body, "\\\", \\\"args\\\": ");
  append_escaped(body, options->arguments);
  append_text(body, ", \\\"version\\\": \\\"");
  append_text(body, options->version);
  append_text(body, "\\\", \\\"_msg_id\\\": \\\"" MESSAGE_ID_TOKEN "\\\", \\\"_reply_q\\\": \\\"");
  append_text(body, options->reply_queue);
  append_text(body, "\\\", \\\"_timeout\\\": null, \\\"_unique_id\\\": \\\"" UNIQUE_ID_TOKEN "\\\"");
  append_escaped(body, ", \"_context_request_id\": \"req-2f6c1c0a-7d0b-4b0e-9a34-5b1f0a9c7e11\", "
                       "\"_context_user_id\": \"0d9c8b7a6f5e4d3c2b1a09f8e7d6c5b4\", "
                       "\"_context_project_id\": \"5e2d8c1b7a9f4063b1c4d5e6f7a80912\", "
                       "\"_context_is_admin\": true, \"_context_roles\": [\"admin\", \"member\"], "
                       "\"_context_read_deleted\": \"no\", \"_context_timestamp\": \"2026-01-15T10:20:30.000000\"}");
  append_text(body, "\"}");
}

static char *read_file(const char *path, size_t *length) {
  FILE *file = fopen(path, "re");
  if (!file) die("%s: %m", path);
  struct buffer content = {0};
  for (;;) {
    buffer_reserve(&content, 65536);
    size_t count = fread(content.bytes + content.length, 1, 65535, file);
    if (count == 0) break;
    content.length += count;
  }
  fclose(file);
  while (content.length > 0 && content.bytes[content.length - 1] == '\n') content.length--;
  *length = content.length;
  return (char *)content.bytes;
}

/* Copies a captured body, with other values of the three members that belong to one call and one client. */
static void write_template(struct buffer *body, const struct request_options *options) {
  static const char *const keys[] = {"\\\"_msg_id\\\": \\\"", "\\\"_reply_q\\\": \\\"", "\\\"_unique_id\\\": \\\""};
  const char *values[] = {MESSAGE_ID_TOKEN, options->reply_queue, UNIQUE_ID_TOKEN};
  size_t length;
  char *text = read_file(options->template, &length);
  const char *from = text, *end = text + length;
  for (int index = 0; index < 3; index++) {
    const char *value = memmem(from, (size_t)(end - from), keys[index], strlen(keys[index]));
    if (!value) die("%s has no %s after the members before it", options->template, keys[index]);
    value += strlen(keys[index]);
    buffer_append(body, from, (size_t)(value - from));
    append_text(body, values[index]);
    from = memchr(value, '\\', (size_t)(end - value));
    if (!from) die("%s: a string does not end", options->template);
  }
  buffer_append(body, from, (size_t)(end - from));
  free(text);
}

static size_t place_of(const struct buffer *frames, const char *token, size_t from) {
  const unsigned char *found = memmem(frames->bytes + from, frames->length - from, token, strlen(token));
  return found ? (size_t)(found - frames->bytes) : SIZE_MAX;
}

struct request request_create(const struct request_options *options) {
  struct buffer body = {0};
  if (options->template)
    write_template(&body, options);
  else
    write_call(&body, options);

  struct request request = {.body_length = body.length};
  append_publish(&request.frames, options->exchange, amqp_cstring_bytes(options->key), false, options->expiration,
                 body.bytes, body.length, options->frame_max);
  free(body.bytes);

  request.message_id = place_of(&request.frames, MESSAGE_ID_TOKEN, 0);
  request.unique_id = place_of(&request.frames, UNIQUE_ID_TOKEN, 0);
  request.client = place_of(&request.frames, options->reply_queue, 0);
  if (request.message_id == SIZE_MAX || request.unique_id == SIZE_MAX || request.client == SIZE_MAX)
    die("an id lies across two frames");
  request.client += strlen(options->reply_queue) - client_digits;
  size_t place = place_of(&request.frames, INSTANCE_TOKEN, 0);
  while (place != SIZE_MAX) {
    if (request.instances == most_places) die("more than %d instance numbers in one request", most_places);
    request.instance[request.instances++] = place;
    place = place_of(&request.frames, INSTANCE_TOKEN, place + strlen(INSTANCE_TOKEN));
  }
  return request;
}

void write_hex(char *to, int digits, uint64_t number) {
  static const char digit[] = "0123456789abcdef";
  for (int index = digits - 1; index >= 0; index--, number >>= 4) to[index] = digit[number & 15];
}

void request_append(const struct request *request, struct buffer *output, const char *message_id,
                    const char *unique_id, uint64_t client, uint64_t instance) {
  buffer_reserve(output, request->frames.length);
  char *frames = (char *)output->bytes + output->length;
  memcpy(frames, request->frames.bytes, request->frames.length);
  memcpy(frames + request->message_id, message_id, 32);
  memcpy(frames + request->unique_id, unique_id, 32);
  write_hex(frames + request->client, client_digits, client);
  for (size_t index = 0; index < request->instances; index++) write_hex(frames + request->instance[index], 12, instance);
  output->length += request->frames.length;
}
