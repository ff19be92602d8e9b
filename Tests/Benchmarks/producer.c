/* Many fast guests: writes numbered lines of 64 bytes to every descriptor of a range, in turn, as fast as the readers
   take them or all together at a given rate. Starts when a byte arrives on standard input; prints one line of JSON at
   the end.

   usage: producer FIRST-DESCRIPTOR COUNT BYTES-EACH [BLOCK-BYTES [BYTES-PER-SECOND]] */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum { line_length = 64, largest_block = 65536, events_at_once = 256 };

static double seconds(clockid_t clock) {
  struct timespec time;
  clock_gettime(clock, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void write_hex(char *to, int digits, uint64_t number) {
  static const char digit[] = "0123456789abcdef";
  for (int index = digits - 1; index >= 0; index--, number >>= 4) to[index] = digit[number & 15];
}

/* A block of whole lines; `length` bytes from `position` of the console's stream lie inside it. */
static char *lines_at(char *block, size_t length, uint32_t console, uint64_t position) {
  uint64_t first = position / line_length, last = (position + length - 1) / line_length;
  char *line = block;
  for (uint64_t number = first; number <= last; number++, line += line_length) {
    write_hex(line + 8, 4, console);
    write_hex(line + 18, 12, number);
  }
  return block + position % line_length;
}

int main(int count, char **arguments) {
  if (count < 4) {
    fputs("usage: producer FIRST-DESCRIPTOR COUNT BYTES-EACH [BLOCK-BYTES [BYTES-PER-SECOND]]\n", stderr);
    return 2;
  }
  int first = atoi(arguments[1]);
  uint32_t consoles = (uint32_t)atoi(arguments[2]);
  uint64_t bytes = strtoull(arguments[3], NULL, 10);
  size_t block_length = count > 4 ? strtoull(arguments[4], NULL, 10) : 4096;
  double rate = count > 5 ? atof(arguments[5]) : 0;
  if (block_length < 1 || block_length > largest_block) block_length = largest_block;

  static char block[largest_block + 2 * line_length];
  for (size_t at = 0; at + line_length <= sizeof block; at += line_length)
    memcpy(block + at, "console 0000 line 000000000000 the quick brown fox jumps over t\n", line_length);
  uint64_t *positions = calloc(consoles, sizeof *positions);
  int events = epoll_create1(EPOLL_CLOEXEC);
  if (!positions || events < 0) return perror("producer"), 1;
  for (uint32_t index = 0; index < consoles; index++) {
    int descriptor = first + (int)index;
    struct epoll_event event = {.events = EPOLLOUT, .data.u32 = index};
    if (fcntl(descriptor, F_SETFL, O_NONBLOCK) != 0 || epoll_ctl(events, EPOLL_CTL_ADD, descriptor, &event) != 0)
      return perror("producer"), 1;
    ssize_t written = write(descriptor, lines_at(block, line_length, index, 0), line_length);
    if (written != line_length) return perror("producer: write"), 1;
    positions[index] = line_length;
  }

  char go;
  if (read(STDIN_FILENO, &go, 1) != 1) return 1;
  double started = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
  uint64_t total = 0;
  for (uint32_t open = consoles; open > 0;) {
    if (rate > 0 && (double)total > rate * (seconds(CLOCK_MONOTONIC) - started)) {
      usleep(1000);
      continue;
    }
    struct epoll_event ready[events_at_once];
    int found = epoll_wait(events, ready, events_at_once, -1);
    for (int index = 0; index < found; index++) {
      uint32_t console = ready[index].data.u32;
      size_t length = block_length;
      if (length > bytes - positions[console]) length = bytes - positions[console];
      ssize_t written = write(first + (int)console, lines_at(block, length, console, positions[console]), length);
      if (written < 0 && errno != EAGAIN && errno != EINTR) return perror("producer: write"), 1;
      if (written > 0) {
        positions[console] += (uint64_t)written;
        total += (uint64_t)written;
      }
      if (positions[console] == bytes) {
        close(first + (int)console);
        open--;
      }
    }
  }
  printf("{\"bytes\": %lu, \"seconds\": %.4f, \"cpu\": %.4f}\n", bytes * consoles,
         seconds(CLOCK_MONOTONIC) - started, seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu);
  return 0;
}
