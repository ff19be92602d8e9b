#define _GNU_SOURCE
#include "echo.h"

#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct echo_options echo_arguments(int count, char **arguments) {
  static const struct option known[] = {
      {"url", required_argument, NULL, 'u'},    {"exchange", required_argument, NULL, 'x'},
      {"topic", required_argument, NULL, 't'},  {"server", required_argument, NULL, 's'},
      {"result", required_argument, NULL, 'r'}, {"parse", no_argument, NULL, 'p'},
      {"confirm", no_argument, NULL, 'c'},      {"split", no_argument, NULL, 'l'},
      {NULL, 0, NULL, 0},
  };
  struct echo_options options = {.exchange = "nova", .topic = "compute", .server = "echo", .result = "null"};
  int option;
  while ((option = getopt_long(count, arguments, "", known, NULL)) != -1) {
    switch (option) {
    case 'u': options.url = optarg; break;
    case 'x': options.exchange = optarg; break;
    case 't': options.topic = optarg; break;
    case 's': options.server = optarg; break;
    case 'r': options.result = optarg; break;
    case 'p': options.parse = true; break;
    case 'c': options.confirm = true; break;
    case 'l': options.split = true; break;
    default: exit(2);
    }
  }
  if (!options.url) die("--url is missing");
  return options;
}

/* The value of a string member of the inner document, wherever the escaped key stands. */
static bool scan(const char *body, size_t length, const char *key, char *value, size_t room) {
  const char *end = body + length;
  const char *at = memmem(body, length, key, strlen(key));
  if (!at) return false;
  at += strlen(key);
  while (at < end && (*at == '\\' || *at == '"' || *at == ':' || *at == ' ')) at++;
  size_t count = 0;
  while (at < end && *at != '\\' && *at != '"' && count + 1 < room) value[count++] = *at++;
  value[count] = 0;
  return count > 0;
}

static bool copy(const json_t *object, const char *key, char *value, size_t room) {
  const char *text = json_string_value(json_object_get(object, key));
  if (!text) return false;
  snprintf(value, room, "%s", text);
  return *value != 0;
}

static bool parse_call(const char *body, size_t length, struct call *call) {
  json_t *envelope = json_loadb(body, length, 0, NULL);
  if (!envelope) return false;
  json_t *text = json_object_get(envelope, "oslo.message");
  json_t *message = json_loadb(json_string_value(text), json_string_length(text), 0, NULL);
  bool found = message && copy(message, "_msg_id", call->id, sizeof call->id) &&
               copy(message, "_reply_q", call->reply_queue, sizeof call->reply_queue);
  json_decref(message);
  json_decref(envelope);
  return found;
}

bool find_call(const struct echo_options *options, const char *body, size_t length, struct call *call) {
  if (options->parse) return parse_call(body, length, call);
  return scan(body, length, "_msg_id", call->id, sizeof call->id) &&
         scan(body, length, "_reply_q", call->reply_queue, sizeof call->reply_queue);
}

static void append_text(struct buffer *body, const char *text) { buffer_append(body, text, strlen(text)); }

/* The result as it stands inside the string of the outer document. */
static const char *escaped_result(const char *result) {
  static char *escaped;
  if (escaped) return escaped;
  escaped = malloc(2 * strlen(result) + 1);
  if (!escaped) die("out of memory");
  char *to = escaped;
  for (const char *from = result; *from; from++) {
    if (*from == '"' || *from == '\\') *to++ = '\\';
    *to++ = *from;
  }
  *to = 0;
  return escaped;
}

void write_reply(const struct echo_options *options, const struct call *call, struct buffer *body) {
  static char prefix[33];
  static uint32_t sequence;
  if (!*prefix) random_hex(prefix);
  static const char digits[] = "0123456789abcdef";
  char unique[33];
  memcpy(unique, prefix, 33);
  uint32_t number = ++sequence;
  for (int index = 31; index > 23; index--, number >>= 4) unique[index] = digits[number & 15];

  body->length = 0;
  append_text(body, "{\"oslo.version\": \"2.0\", \"oslo.message\": \"{\\\"result\\\": ");
  append_text(body, escaped_result(options->result));
  append_text(body, ", \\\"failure\\\": null, \\\"ending\\\": true, \\\"_msg_id\\\": \\\"");
  append_text(body, call->id);
  append_text(body, "\\\", \\\"_unique_id\\\": \\\"");
  append_text(body, unique);
  append_text(body, "\\\"}\"}");
}
