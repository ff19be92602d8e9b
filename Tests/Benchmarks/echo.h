/* What the two echo servers have in common: options, finding the call in a request, writing the reply. */

#ifndef VMOPS_BENCHMARKS_ECHO_H
#define VMOPS_BENCHMARKS_ECHO_H

#include "wire.h"

struct echo_options {
  const char *url;
  const char *exchange;
  const char *topic;
  const char *server;
  const char *result; /* the reply's result, as JSON text */
  bool parse;         /* read both JSON layers with jansson instead of scanning for the two ids */
  bool confirm;       /* tuned echo only: publisher confirms on, as oslo.messaging has them */
  bool split;         /* tuned echo only: replies with confirms on a connection of their own */
};

struct call {
  char id[64];
  char reply_queue[256];
};

struct echo_options echo_arguments(int count, char **arguments);

/* False for a cast and for a body without the ids of a call. */
bool find_call(const struct echo_options *options, const char *body, size_t length, struct call *call);

/* Replaces the buffer's content by the reply envelope of oslo.messaging wire, section 7. */
void write_reply(const struct echo_options *options, const struct call *call, struct buffer *body);

#endif
