/* The least a program can do that captures many consoles into capped files: one thread, one epoll, read and write in
   blocks of 64 KiB, and a rename whenever a file has reached the cap. Prints "ready" when it listens and ends when
   every descriptor has.

   usage: one_cat FIRST-DESCRIPTOR COUNT DIRECTORY SEGMENT-BYTES
   Console N goes to DIRECTORY/N/console.log and console.log.1; the directories exist. */

#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { block_length = 65536, events_at_once = 256 };

struct console {
  int file;
  uint64_t length;
};

static const char *directory;

static int open_log(uint32_t console, int rotate) {
  char path[4096], archive[4096];
  snprintf(path, sizeof path, "%s/%u/console.log", directory, console);
  snprintf(archive, sizeof archive, "%s/%u/console.log.1", directory, console);
  if (rotate && rename(path, archive) != 0) return -1;
  return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

/* Fills the segment to the byte, then goes on in a new one. */
static int store(struct console *console, uint32_t number, const char *bytes, size_t length, uint64_t cap) {
  while (length > 0) {
    if (console->length == cap) {
      close(console->file);
      console->file = open_log(number, 1);
      console->length = 0;
      if (console->file < 0) return -1;
    }
    size_t part = length < cap - console->length ? length : cap - console->length;
    ssize_t written = write(console->file, bytes, part);
    if (written <= 0) return -1;
    console->length += (uint64_t)written;
    bytes += written;
    length -= (size_t)written;
  }
  return 0;
}

int main(int count, char **arguments) {
  if (count != 5) {
    fputs("usage: one_cat FIRST-DESCRIPTOR COUNT DIRECTORY SEGMENT-BYTES\n", stderr);
    return 2;
  }
  int first = atoi(arguments[1]);
  uint32_t consoles = (uint32_t)atoi(arguments[2]);
  directory = arguments[3];
  uint64_t cap = strtoull(arguments[4], NULL, 10);
  struct console *all = calloc(consoles, sizeof *all);
  int events = epoll_create1(EPOLL_CLOEXEC);
  if (!all || events < 0 || cap == 0) return perror("one_cat"), 1;
  for (uint32_t index = 0; index < consoles; index++) {
    int descriptor = first + (int)index;
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = index};
    all[index].file = open_log(index, 0);
    if (all[index].file < 0 || fcntl(descriptor, F_SETFL, O_NONBLOCK) != 0 ||
        epoll_ctl(events, EPOLL_CTL_ADD, descriptor, &event) != 0)
      return perror("one_cat"), 1;
  }
  puts("ready");
  fflush(stdout);

  static char block[block_length];
  for (uint32_t open = consoles; open > 0;) {
    struct epoll_event ready[events_at_once];
    int found = epoll_wait(events, ready, events_at_once, -1);
    for (int index = 0; index < found; index++) {
      uint32_t number = ready[index].data.u32;
      ssize_t length = read(first + (int)number, block, sizeof block);
      if (length > 0) {
        if (store(&all[number], number, block, (size_t)length, cap) != 0) return perror("one_cat"), 1;
      } else if (length == 0) {
        close(first + (int)number);
        close(all[number].file);
        open--;
      }
    }
  }
  return 0;
}
