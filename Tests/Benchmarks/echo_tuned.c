/* The better floor: the same service, but all that has arrived is read before anything is sent, acknowledged with
   one basic.ack (multiple), and answered in one write: one wake-up costs one send, however many calls it brought.

   With --split the replies go out on a connection of their own, with confirms, as a server must do that goes on to
   acknowledge while the broker holds its publishers back: the floor for such a server. */

#include "echo.h"

#include <poll.h>
#include <string.h>
#include <sys/time.h>

/* How many replies may wait before they are sent although more requests could be read. */
enum { batch_limit = 256 };

/* What the broker says about replies is read and forgotten. */
static void read_confirmations(amqp_connection_state_t publisher) {
  const struct timeval at_once = {0, 0};
  amqp_frame_t frame;
  int status;
  while ((status = amqp_simple_wait_frame_noblock(publisher, &frame, &at_once)) == AMQP_STATUS_OK)
    if (frame.frame_type != AMQP_FRAME_METHOD || frame.payload.method.id != AMQP_BASIC_ACK_METHOD)
      die("a reply was not confirmed");
  if (status != AMQP_STATUS_TIMEOUT) die("reading confirmations: %s", amqp_error_string2(status));
  amqp_maybe_release_buffers(publisher);
}

int main(int count, char **arguments) {
  struct echo_options options = echo_arguments(count, arguments);
  amqp_connection_state_t connection = broker_connect(options.url);
  declare_server(connection, options.exchange, options.topic, options.server);
  amqp_connection_state_t publisher = options.split ? broker_connect(options.url) : connection;
  if (options.confirm || options.split) {
    amqp_confirm_select(publisher, 1);
    expect_ok(publisher, "confirm.select");
  }
  int descriptor = amqp_get_sockfd(connection), replies_to = amqp_get_sockfd(publisher);
  size_t frame_max = (size_t)amqp_get_frame_max(connection);

  struct buffer request = {0}, reply = {0}, replies = {0}, output = {0};
  uint64_t tag = 0, finished = 0, size = 0;
  int pending = 0;
  const struct timeval at_once = {0, 0};
  for (;;) {
    amqp_frame_t frame;
    int status = amqp_simple_wait_frame_noblock(connection, &frame, &at_once);
    if (status == AMQP_STATUS_TIMEOUT || pending == batch_limit) {
      if (pending > 0) {
        if (options.split) flush_buffer(&replies, replies_to);
        append_ack(&output, finished, true);
        buffer_append(&output, replies.bytes, replies.length);
        flush_buffer(&output, descriptor);
        replies.length = 0;
        pending = 0;
      }
      if (status == AMQP_STATUS_TIMEOUT) {
        struct pollfd wait[] = {{.fd = descriptor, .events = POLLIN}, {.fd = replies_to, .events = POLLIN}};
        poll(wait, options.split ? 2 : 1, -1);
        if (options.split && wait[1].revents) read_confirmations(publisher);
        continue;
      }
    }
    if (status != AMQP_STATUS_OK) die("reading: %s", amqp_error_string2(status));

    bool complete = false;
    if (frame.frame_type == AMQP_FRAME_METHOD) {
      amqp_method_number_t id = frame.payload.method.id;
      if (id == AMQP_BASIC_DELIVER_METHOD)
        tag = ((amqp_basic_deliver_t *)frame.payload.method.decoded)->delivery_tag;
      else if (id != AMQP_BASIC_ACK_METHOD)
        die("unexpected method %s", amqp_method_name(id));
    } else if (frame.frame_type == AMQP_FRAME_HEADER) {
      size = frame.payload.properties.body_size;
      request.length = 0;
      complete = size == 0;
    } else if (frame.frame_type == AMQP_FRAME_BODY) {
      buffer_append(&request, frame.payload.body_fragment.bytes, frame.payload.body_fragment.len);
      complete = request.length == size;
    }
    if (!complete) continue;

    struct call call;
    if (find_call(&options, (char *)request.bytes, request.length, &call)) {
      write_reply(&options, &call, &reply);
      append_publish(&replies, "", amqp_cstring_bytes(call.reply_queue), true, NULL, reply.bytes, reply.length,
                     frame_max);
    }
    finished = tag;
    pending++;
    amqp_maybe_release_buffers_on_channel(connection, 1);
  }
}
