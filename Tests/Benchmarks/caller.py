#!/usr/bin/env python3
"""Sends requests through oslo.messaging as its standard input says: a JSON array [how, server, method, args] a line.

`how` is cast or call. Prints "ready" at the start, and one JSON value a line for each call.
"""

import argparse
import json
import sys

import oslo_messaging
from oslo_config import cfg


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--exchange", default="nova")
    parser.add_argument("--topic", default="compute")
    arguments = parser.parse_args()
    cfg.CONF([], project="bench", default_config_files=[])
    transport = oslo_messaging.get_rpc_transport(cfg.CONF, url=arguments.url)
    target = oslo_messaging.Target(exchange=arguments.exchange, topic=arguments.topic, version="1.0")
    client = oslo_messaging.get_rpc_client(transport, target, timeout=120)
    print("ready", flush=True)
    for line in sys.stdin:
        how, server, method, args = json.loads(line)
        prepared = client.prepare(server=server)
        if how == "cast":
            prepared.cast({}, method, **args)
        else:
            print(json.dumps(prepared.call({}, method, **args)), flush=True)


if __name__ == "__main__":
    main()
