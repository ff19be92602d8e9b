/* Waits until a queue has a consumer, then prints the monotonic time in nanoseconds at which it was first seen. Tells
   when a server serves, to a millisecond, without a word of its log. */

#include "wire.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Consumers of the queue; 0 when there is no such queue, which costs the channel (AMQP 0-9-1, 404 not-found). */
static uint32_t consumers(amqp_connection_state_t connection, const char *queue) {
  amqp_queue_declare_ok_t *found =
      amqp_queue_declare(connection, 1, amqp_cstring_bytes(queue), 1, 0, 0, 0, amqp_empty_table);
  if (found) return found->consumer_count;
  amqp_rpc_reply_t reply = amqp_get_rpc_reply(connection);
  if (reply.reply_type != AMQP_RESPONSE_SERVER_EXCEPTION || reply.reply.id != AMQP_CHANNEL_CLOSE_METHOD)
    expect_ok(connection, "queue.declare");
  amqp_channel_close_ok_t close_ok;
  amqp_send_method(connection, 1, AMQP_CHANNEL_CLOSE_OK_METHOD, &close_ok);
  amqp_channel_open(connection, 1);
  expect_ok(connection, "channel.open");
  return 0;
}

int main(int count, char **arguments) {
  if (count != 4) {
    fputs("usage: await_queue URL QUEUE SECONDS\n", stderr);
    return 2;
  }
  uint64_t deadline = now() + (uint64_t)(atof(arguments[3]) * 1e9);
  amqp_connection_state_t connection = broker_connect(arguments[1]);
  while (consumers(connection, arguments[2]) == 0) {
    if (now() > deadline) die("%s has no consumer after %s s", arguments[2], arguments[3]);
    amqp_maybe_release_buffers(connection);
    usleep(1000);
  }
  printf("%" PRIu64 "\n", now());
  return 0;
}
