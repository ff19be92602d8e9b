/* Options and figures of the load generator. */

#ifndef VMOPS_BENCHMARKS_LOAD_H
#define VMOPS_BENCHMARKS_LOAD_H

#include <time.h>

#include "replies.h"
#include "request.h"

enum { most_watched = 8 };

struct watched {
  const char *name;
  clockid_t clock; /* CPU time of that process, all its threads, ended ones too */
  uint64_t opened;
  uint64_t closed;
};

struct load_options {
  const char *url;
  struct request_options request;
  int in_flight;
  int clients;     /* how many reply queues take turns, as if so many clients called */
  uint64_t count;  /* calls in all; 0 = until `seconds` have passed */
  double warmup;   /* seconds before the measured window */
  double seconds;  /* length of the window; 0 = until `count` calls have ended */
  double timeout;  /* seconds without any reply after which the open calls count as lost */
  uint64_t vary;   /* instance numbers go round from 0 to this, exclusive */
  bool confirm;    /* publisher confirms on the requests */
  const char *dump; /* a file that gets the body of every reply, one a line */
  struct watched watched[most_watched];
  int watched_count;
};

struct slot {
  uint64_t started;
  uint64_t sequence;
  bool waiting;
};

struct load_result {
  uint64_t opened, closed; /* the measured window, monotonic nanoseconds; 0 = not yet */
  uint64_t own_opened, own_closed;
  uint64_t *samples; /* latency in nanoseconds of each call that ended in the window */
  size_t samples_count, samples_room;
  uint64_t failures, lost, unexpected, heartbeats;
  size_t request_bytes, reply_bytes;
};

struct load_options load_arguments(int count, char **arguments);
void result_open(struct load_result *result, struct load_options *options, uint64_t time);
void result_close(struct load_result *result, struct load_options *options, uint64_t time);
void result_sample(struct load_result *result, uint64_t latency);
void result_print(struct load_result *result, const struct load_options *options);

#endif
