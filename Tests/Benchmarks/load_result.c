#define _GNU_SOURCE
#include "load.h"

#include <stdio.h>
#include <stdlib.h>

static uint64_t read_clock(clockid_t clock) {
  struct timespec time;
  if (clock_gettime(clock, &time) != 0) return 0;
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

void result_open(struct load_result *result, struct load_options *options, uint64_t time) {
  result->opened = time;
  result->own_opened = read_clock(CLOCK_PROCESS_CPUTIME_ID);
  for (int index = 0; index < options->watched_count; index++)
    options->watched[index].opened = read_clock(options->watched[index].clock);
}

void result_close(struct load_result *result, struct load_options *options, uint64_t time) {
  if (!result->opened) die("no call ended before the measured window began");
  result->closed = time;
  result->own_closed = read_clock(CLOCK_PROCESS_CPUTIME_ID);
  for (int index = 0; index < options->watched_count; index++)
    options->watched[index].closed = read_clock(options->watched[index].clock);
}

void result_sample(struct load_result *result, uint64_t latency) {
  if (result->samples_count == result->samples_room) {
    result->samples_room = result->samples_room ? 2 * result->samples_room : 65536;
    result->samples = realloc(result->samples, result->samples_room * sizeof *result->samples);
    if (!result->samples) die("out of memory");
  }
  result->samples[result->samples_count++] = latency;
}

static int ascending(const void *left, const void *right) {
  uint64_t first = *(const uint64_t *)left, second = *(const uint64_t *)right;
  return (first > second) - (first < second);
}

/* The smallest latency that the given part of all calls does not exceed, in microseconds. */
static double percentile(const struct load_result *result, double part) {
  if (result->samples_count == 0) return 0;
  size_t rank = (size_t)(part * (double)result->samples_count);
  if (rank >= result->samples_count) rank = result->samples_count - 1;
  return (double)result->samples[rank] / 1e3;
}

void result_print(struct load_result *result, const struct load_options *options) {
  qsort(result->samples, result->samples_count, sizeof *result->samples, ascending);
  double calls = (double)result->samples_count, divisor = calls > 0 ? calls : 1;
  double seconds = (double)(result->closed - result->opened) / 1e9;
  printf("{\"in_flight\": %d, \"seconds\": %.3f, \"calls\": %.0f, \"rate\": %.1f, ", options->in_flight, seconds, calls,
         seconds > 0 ? calls / seconds : 0);
  printf("\"p50_us\": %.1f, \"p90_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": %.1f, \"max_us\": %.1f, ",
         percentile(result, 0.5), percentile(result, 0.9), percentile(result, 0.99), percentile(result, 0.999),
         percentile(result, 1));
  printf("\"failures\": %lu, \"lost\": %lu, \"unexpected\": %lu, \"heartbeats\": %lu, ", result->failures, result->lost,
         result->unexpected, result->heartbeats);
  printf("\"request_bytes\": %zu, \"reply_bytes\": %zu, \"cpu_us\": {\"load\": %.2f", result->request_bytes,
         result->reply_bytes, (double)(result->own_closed - result->own_opened) / 1e3 / divisor);
  for (int index = 0; index < options->watched_count; index++) {
    const struct watched *watched = &options->watched[index];
    printf(", \"%s\": %.2f", watched->name, (double)(watched->closed - watched->opened) / 1e3 / divisor);
  }
  puts("}}");
}
