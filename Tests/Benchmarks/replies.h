/* The receiving side of the load generator: frames of a consuming connection cut straight out of the bytes read. */

#ifndef VMOPS_BENCHMARKS_REPLIES_H
#define VMOPS_BENCHMARKS_REPLIES_H

#include "wire.h"

struct frame_reader {
  int descriptor;
  struct buffer input;
  size_t consumed;
  struct buffer body; /* of a message that spans several frames */
  uint64_t body_size;
  uint64_t delivery_tag;
};

struct reply {
  char message_id[33];
  bool failed;
  bool last; /* false for the heartbeat of a monitored call */
};

/* Reads what is there without waiting. False when nothing was. Ends the process when the broker closed. */
bool frames_fill(struct frame_reader *reader);

/* The next whole message among what has been read; false when there is none. The bytes stay valid until the next
   call. Confirms and heartbeats are passed over; a close by the broker ends the process. */
bool frames_next(struct frame_reader *reader, amqp_bytes_t *message);

/* False for a body that is not a reply with an id of 32 characters. */
bool reply_read(amqp_bytes_t message, struct reply *reply);

#endif
