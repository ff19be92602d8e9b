/* One RPC request, encoded once as AMQP frames; each call copies them and fills in what differs: `_msg_id`,
   `_unique_id`, the client in `_reply_q` and, where the text has it, the instance number. */

#ifndef VMOPS_BENCHMARKS_REQUEST_H
#define VMOPS_BENCHMARKS_REQUEST_H

#include "wire.h"

/* Twelve of these in the arguments, the template or the routing key stand for the instance number, written as twelve
   hexadecimal digits: the last group of a UUID. */
#define INSTANCE_TOKEN "@@@@@@@@@@@@"

/* The client's number, hexadecimal digits at the end of its reply queue's name. */
enum { client_digits = 4 };

enum { most_places = 16 };

struct request {
  struct buffer frames;
  size_t body_length;
  size_t message_id;
  size_t unique_id;
  size_t client;
  size_t instance[most_places];
  size_t instances;
};

struct request_options {
  const char *exchange;
  const char *key;
  const char *method;
  const char *arguments; /* a JSON object */
  const char *version;
  const char *template;  /* a file that holds a whole body, instead of method, arguments and version */
  const char *reply_queue; /* ends with `client_digits` hexadecimal digits */
  const char *expiration; /* milliseconds */
  size_t frame_max;
};

/* Ends the process when the template is not a call's body. */
struct request request_create(const struct request_options *options);

/* Appends the frames of one call. `message_id` and `unique_id` are 32 hexadecimal digits. */
void request_append(const struct request *request, struct buffer *output, const char *message_id,
                    const char *unique_id, uint64_t client, uint64_t instance);

void write_hex(char *to, int digits, uint64_t number);

#endif
