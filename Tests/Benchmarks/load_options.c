#define _GNU_SOURCE
#include "load.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: load --url URL --key KEY (--method NAME [--args JSON] [--version V] | --template FILE) [options]\n"
    "  --url URL          rabbit://USER:PASSWORD@HOST:PORT/VHOST, for a server that listens already\n"
    "  --exchange NAME    default nova\n"
    "  --key KEY          routing key, like compute.host-a\n"
    "  --in-flight N      calls open at any time; default 1, at most 65535\n"
    "  --clients N        reply queues that take turns, as of N clients; default 1, at most 65536\n"
    "  --seconds S        measured window; default 3 unless --count is given\n"
    "  --warmup S         before the window; default 0.5, with --count 0\n"
    "  --count N          exactly this many calls\n"
    "  --timeout S        give up after so long without any reply; default 10\n"
    "  --vary N           the twelve characters " INSTANCE_TOKEN " in key, arguments or template become\n"
    "                     0 to N-1 in turn, as hexadecimal digits\n"
    "  --watch NAME=PID   also report that process's CPU time per call; repeatable\n"
    "  --confirm          publisher confirms, as a stock client has them\n"
    "  --dump FILE        write the replies' bodies, one a line\n";

static void watch(struct load_options *options, char *text) {
  char *separator = strchr(text, '=');
  if (!separator) die("--watch wants NAME=PID, got %s", text);
  if (options->watched_count == most_watched) die("at most %d processes can be watched", most_watched);
  *separator = 0;
  struct watched *watched = &options->watched[options->watched_count++];
  watched->name = text;
  if (clock_getcpuclockid((pid_t)atoi(separator + 1), &watched->clock) != 0) die("no process %s", separator + 1);
}

struct load_options load_arguments(int count, char **arguments) {
  enum { url = 1, exchange, key, method, args, version, template, in_flight, clients, seconds, warmup, calls, timeout, vary,
         watched, confirm, dump, help };
  static const struct option known[] = {
      {"url", required_argument, NULL, url},           {"exchange", required_argument, NULL, exchange},
      {"key", required_argument, NULL, key},           {"method", required_argument, NULL, method},
      {"args", required_argument, NULL, args},         {"version", required_argument, NULL, version},
      {"template", required_argument, NULL, template}, {"in-flight", required_argument, NULL, in_flight},
      {"seconds", required_argument, NULL, seconds},   {"warmup", required_argument, NULL, warmup},
      {"count", required_argument, NULL, calls},       {"timeout", required_argument, NULL, timeout},
      {"vary", required_argument, NULL, vary},         {"watch", required_argument, NULL, watched},
      {"confirm", no_argument, NULL, confirm},         {"dump", required_argument, NULL, dump},
      {"clients", required_argument, NULL, clients},
      {"help", no_argument, NULL, help},               {NULL, 0, NULL, 0},
  };
  struct load_options options = {
      .request = {.exchange = "nova", .arguments = "{}", .version = "1.0", .expiration = "60000"},
      .in_flight = 1, .clients = 1, .warmup = -1, .seconds = -1, .timeout = 10, .vary = 1,
  };
  int option;
  while ((option = getopt_long(count, arguments, "", known, NULL)) != -1) {
    switch (option) {
    case url: options.url = optarg; break;
    case exchange: options.request.exchange = optarg; break;
    case key: options.request.key = optarg; break;
    case method: options.request.method = optarg; break;
    case args: options.request.arguments = optarg; break;
    case version: options.request.version = optarg; break;
    case template: options.request.template = optarg; break;
    case in_flight: options.in_flight = atoi(optarg); break;
    case clients: options.clients = atoi(optarg); break;
    case seconds: options.seconds = atof(optarg); break;
    case warmup: options.warmup = atof(optarg); break;
    case calls: options.count = strtoull(optarg, NULL, 10); break;
    case timeout: options.timeout = atof(optarg); break;
    case vary: options.vary = strtoull(optarg, NULL, 10); break;
    case watched: watch(&options, optarg); break;
    case confirm: options.confirm = true; break;
    case dump: options.dump = optarg; break;
    case help: fputs(usage, stdout); exit(0);
    default: fputs(usage, stderr); exit(2);
    }
  }
  if (!options.url || !options.request.key || !options.request.method == !options.request.template ||
      options.in_flight < 1 || options.in_flight > 65535 || options.clients < 1 || options.clients > 65536 ||
      options.vary < 1) {
    fputs(usage, stderr);
    exit(2);
  }
  if (options.seconds < 0) options.seconds = options.count ? 0 : 3;
  if (options.warmup < 0) options.warmup = options.count ? 0 : 0.5;
  if (options.seconds == 0 && options.count == 0) die("--seconds 0 needs --count");
  return options;
}
