#!/usr/bin/env python3
"""The service of the echo servers in Python: an oslo.messaging RPC server with default options.

`ping` answers "pong"; `get_info`, `power_on` and `spawn` answer the value given with --result.
"""

import argparse
import json
import signal

import oslo_messaging
from oslo_config import cfg


class Endpoint:
    target = oslo_messaging.Target(version="1.0")

    def __init__(self, result):
        self.result = result

    def ping(self, context):
        return "pong"

    def get_info(self, context, instance):
        return self.result

    def power_on(self, context, instance):
        return self.result

    def spawn(self, context, instance):
        return self.result


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--exchange", default="nova")
    parser.add_argument("--topic", default="compute")
    parser.add_argument("--server", required=True)
    parser.add_argument("--result", default="null", help="JSON")
    arguments = parser.parse_args()

    # The process-wide configuration: the library registers its tracing options nowhere else.
    cfg.CONF([], project="bench", default_config_files=[])
    transport = oslo_messaging.get_rpc_transport(cfg.CONF, url=arguments.url)
    target = oslo_messaging.Target(exchange=arguments.exchange, topic=arguments.topic, server=arguments.server)
    endpoints = [Endpoint(json.loads(arguments.result))]
    server = oslo_messaging.get_rpc_server(transport, target, endpoints, executor="threading")
    server.start()
    signal.pause()


if __name__ == "__main__":
    main()
