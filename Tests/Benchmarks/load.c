/* The load generator: keeps a number of RPC calls in flight against one server and measures each of them.

   Requests leave on one connection and replies arrive on another, as a client of oslo.messaging has it; all requests
   that a wake-up makes possible go out in one write, and its replies are acknowledged together, so that a call costs
   the generator a small part of what it costs the broker. Prints one line of JSON; the exit status is 1 when a call
   failed or stayed without an answer. */

#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct load_options options;
static struct load_result result;
static struct slot *slots;
static struct buffer output, acknowledgements;
static struct request request;
static uint64_t sequence;
static char run_id[33];
static FILE *dump;

/* `_msg_id`: slot (4 digits), sequence (12), the run's own random digits (16). */
static void start_call(int slot) {
  char message_id[33], unique_id[33];
  memcpy(message_id, run_id, 33);
  memcpy(unique_id, run_id, 33);
  write_hex(message_id, 4, (uint64_t)slot);
  write_hex(message_id + 4, 12, sequence);
  write_hex(unique_id + 16, 16, sequence);
  slots[slot].sequence = sequence;
  slots[slot].waiting = true;
  slots[slot].started = 0;
  request_append(&request, &output, message_id, unique_id, sequence % (uint64_t)options.clients,
                 sequence % (uint64_t)options.vary);
  sequence++;
}

static struct slot *slot_of(const struct reply *reply) {
  char digits[13] = {0};
  if (memcmp(reply->message_id + 16, run_id + 16, 16) != 0) return NULL;
  memcpy(digits, reply->message_id, 4);
  unsigned long slot = strtoul(digits, NULL, 16);
  memcpy(digits, reply->message_id + 4, 12);
  if (slot >= (unsigned long)options.in_flight || !slots[slot].waiting) return NULL;
  return slots[slot].sequence == strtoull(digits, NULL, 16) ? &slots[slot] : NULL;
}

static bool may_start(uint64_t time) {
  if (options.count > 0 && sequence >= options.count) return false;
  return options.seconds == 0 || !result.opened || time < result.opened + (uint64_t)(options.seconds * 1e9);
}

/* True when the message ended a call and no other took its slot. */
static bool take_message(amqp_bytes_t message, uint64_t time) {
  struct reply reply;
  if (dump) fprintf(dump, "%.*s\n", (int)message.len, (const char *)message.bytes);
  struct slot *slot = reply_read(message, &reply) ? slot_of(&reply) : NULL;
  if (!slot) {
    result.unexpected++;
    return false;
  }
  if (!reply.last) {
    result.heartbeats++;
    return false;
  }
  if (reply.failed && result.failures++ == 0)
    fprintf(stderr, "load: first failure: %.*s\n", (int)message.len, (const char *)message.bytes);
  slot->waiting = false;
  result.reply_bytes = message.len;
  if (result.opened && !result.closed) result_sample(&result, time - slot->started);
  if (!may_start(time)) return true;
  start_call((int)(slot - slots));
  return false;
}

/* The calls of one write start together, when the write does. */
static void send_requests(int descriptor) {
  if (output.length == 0) return;
  uint64_t time = now();
  for (int slot = 0; slot < options.in_flight; slot++)
    if (slots[slot].waiting && slots[slot].started == 0) slots[slot].started = time;
  flush_buffer(&output, descriptor);
}

static void run_load(amqp_connection_state_t publishing, amqp_connection_state_t consuming) {
  struct frame_reader replies = {.descriptor = amqp_get_sockfd(consuming)};
  struct frame_reader confirms = {.descriptor = amqp_get_sockfd(publishing)};
  uint64_t begun = now(), progress = begun;
  int open = 0;
  for (; open < options.in_flight && may_start(begun); open++) start_call(open);
  if (options.warmup == 0) result_open(&result, &options, begun);

  while (open > 0) {
    send_requests(confirms.descriptor);
    flush_buffer(&acknowledgements, replies.descriptor);
    struct pollfd wait[] = {{.fd = replies.descriptor, .events = POLLIN}, {.fd = confirms.descriptor, .events = POLLIN}};
    if (poll(wait, 2, 100) < 0 && errno != EINTR) die("poll: %m");
    uint64_t time = now();
    amqp_bytes_t message;
    if (wait[1].revents && frames_fill(&confirms))
      while (frames_next(&confirms, &message)) result.unexpected++;
    bool received = false;
    if (wait[0].revents && frames_fill(&replies)) {
      while (frames_next(&replies, &message)) {
        if (take_message(message, time)) open--;
        received = true;
      }
    }
    if (received) {
      append_ack(&acknowledgements, replies.delivery_tag, true);
      progress = time;
    } else if (time > progress + (uint64_t)(options.timeout * 1e9)) {
      result.lost = (uint64_t)open;
      break;
    }
    if (!result.opened && time > begun + (uint64_t)(options.warmup * 1e9)) result_open(&result, &options, time);
    if (result.opened && !result.closed && options.seconds > 0 &&
        time >= result.opened + (uint64_t)(options.seconds * 1e9))
      result_close(&result, &options, time);
  }
  if (!result.closed) result_close(&result, &options, progress);
  flush_buffer(&acknowledgements, replies.descriptor);
}

int main(int count, char **arguments) {
  options = load_arguments(count, arguments);
  amqp_connection_state_t consuming = broker_connect(options.url), publishing = broker_connect(options.url);
  char queue[64], hex[33];
  random_hex(hex);
  random_hex(run_id);
  snprintf(queue, sizeof queue, "reply_%s", hex);
  char *client = queue + strlen(queue) - client_digits;
  for (int number = 0; number < options.clients; number++) {
    write_hex(client, client_digits, (uint64_t)number);
    declare_reply_queue(consuming, queue, client);
  }
  if (options.confirm) {
    amqp_confirm_select(publishing, 1);
    expect_ok(publishing, "confirm.select");
  }
  options.request.reply_queue = queue;
  options.request.frame_max = (size_t)amqp_get_frame_max(publishing);
  request = request_create(&options.request);
  result.request_bytes = request.body_length;
  slots = calloc((size_t)options.in_flight, sizeof *slots);
  if (!slots) die("out of memory");
  if (options.dump && !(dump = fopen(options.dump, "we"))) die("%s: %m", options.dump);

  run_load(publishing, consuming);
  if (dump && fclose(dump) != 0) die("%s: %m", options.dump);
  for (int number = 0; number < options.clients; number++) {
    write_hex(client, client_digits, (uint64_t)number);
    amqp_queue_delete(consuming, 1, amqp_cstring_bytes(queue), 0, 0);
  }
  result_print(&result, &options);
  return result.failures + result.lost + result.unexpected > 0;
}
