"""What the peer programs share: a transport, and the JSON lines through which a test steers them.

A peer reads one JSON object a line from standard input and writes one a line to standard output; it ends at
end-of-file. Nothing else may write to standard output. Logs go to standard error.
"""

import argparse
import json
import logging
import os
import sys
import tempfile
import threading
import warnings

warnings.simplefilter("ignore")
os.environ.setdefault("OSLO_LOCK_PATH", tempfile.gettempdir())

import oslo_messaging  # noqa: E402
from oslo_config import cfg  # noqa: E402

_writing = threading.Lock()


def emit(**fields):
    """Writes one line; safe from every thread."""
    line = json.dumps(fields)
    with _writing:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def commands():
    """The objects that the test sends, until it closes the pipe."""
    while line := sys.stdin.readline():
        yield json.loads(line)


def arguments(description, **defaults):
    """The options every peer has, and those of this one: a name with its default value each."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--url", required=True, help="transport URL")
    parser.add_argument("--exchange", default="nova")
    parser.add_argument("--topic", default="compute")
    parser.add_argument("--server", default="host-a")
    parser.add_argument("--option", action="append", default=[], metavar="NAME=VALUE", help="[oslo_messaging_rabbit]")
    parser.add_argument("--verbose", action="store_true", help="the library's debug log on standard error")
    for name, value in defaults.items():
        parser.add_argument("--" + name.replace("_", "-"), default=value, type=type(value))
    parsed = parser.parse_args()
    logging.basicConfig(stream=sys.stderr, level=logging.DEBUG if parsed.verbose else logging.WARNING)
    return parsed


def configuration(parsed):
    """The process's options, read from a file as every service does. The library looks for some of its options on
    this object only, so a peer has one transport configuration."""
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        file.write("[DEFAULT]\ncontrol_exchange = %s\n[oslo_messaging_rabbit]\n" % parsed.exchange)
        file.writelines("%s = %s\n" % tuple(setting.split("=", 1)) for setting in parsed.option)
        file.flush()
        cfg.CONF(["--config-file", file.name], project="vmops-peer")
    return cfg.CONF


def transport(parsed, allowed_remote_exmods=(), notifications=False):
    """The transport of --url, with the --option settings of the RabbitMQ driver."""
    conf = configuration(parsed)
    if notifications:
        return oslo_messaging.get_notification_transport(conf, url=parsed.url)
    return oslo_messaging.get_rpc_transport(conf, url=parsed.url, allowed_remote_exmods=list(allowed_remote_exmods))


def failure(error):
    """How an exception is told to the test: its class, module and text, and what it carries."""
    return {
        "raised": type(error).__name__,
        "module": type(error).__module__,
        "text": str(error),
        "mro": [c.__module__ + "." + c.__qualname__ for c in type(error).__mro__],
    }
