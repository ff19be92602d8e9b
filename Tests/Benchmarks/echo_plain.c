/* The floor: an oslo.messaging server in plain librabbitmq that answers every call with one fixed result. One
   connection, one delivery at a time: consume, acknowledge, publish. */

#include "echo.h"

int main(int count, char **arguments) {
  struct echo_options options = echo_arguments(count, arguments);
  amqp_connection_state_t connection = broker_connect(options.url);
  declare_server(connection, options.exchange, options.topic, options.server);

  struct buffer reply = {0};
  amqp_basic_properties_t properties;
  fill_properties(&properties, NULL);
  for (;;) {
    amqp_envelope_t envelope;
    amqp_maybe_release_buffers(connection);
    amqp_rpc_reply_t status = amqp_consume_message(connection, &envelope, NULL, 0);
    if (status.reply_type != AMQP_RESPONSE_NORMAL) die("consuming: %s", amqp_error_string2(status.library_error));
    int sent = amqp_basic_ack(connection, 1, envelope.delivery_tag, 0);
    struct call call;
    if (find_call(&options, envelope.message.body.bytes, envelope.message.body.len, &call)) {
      write_reply(&options, &call, &reply);
      amqp_bytes_t body = {.len = reply.length, .bytes = reply.bytes};
      int published = amqp_basic_publish(connection, 1, amqp_empty_bytes, amqp_cstring_bytes(call.reply_queue), 1, 0,
                                         &properties, body);
      if (published != AMQP_STATUS_OK) die("publishing: %s", amqp_error_string2(published));
    }
    if (sent != AMQP_STATUS_OK) die("acknowledging: %s", amqp_error_string2(sent));
    amqp_destroy_envelope(&envelope);
  }
}
