"""An oslo.messaging RPC server that a test steers.

It says {"ready": true} when it serves, and one line for every request: {"method": …, "args": …, "context": …}. The
methods are those of Endpoint below; version 1.3 without a namespace, and `hello` in the namespace "greetings".

    {"op": "release"}     lets one `hold` go on
    {"op": "stop"}        stops serving in order
"""

import threading
import time

import oslo_messaging
import peer


class Refused(Exception):
    """Of a module that no client allows; carries what its constructor took."""

    def __init__(self, message=None, **kwargs):
        self.kwargs = kwargs
        super().__init__(message)


class Endpoint:
    target = oslo_messaging.Target(version="1.3")

    def __init__(self, name):
        self.name = name
        self.gate = threading.Semaphore(0)

    def _tell(self, method, context, args):
        peer.emit(method=method, args=args, context=dict(context))

    def echo(self, context, **args):
        self._tell("echo", context, args)
        return args.get("value")

    def who(self, context):
        self._tell("who", context, {})
        return self.name

    def odd(self, context):
        return {"nan": float("nan"), "big": 2**70, "nul": "a\0b", "lone": "\ud83d", "float": 0.1, "min": -(2**63)}

    def fail(self, context, kind):
        self._tell("fail", context, {"kind": kind})
        if kind == "value":
            raise ValueError("bad value", 42)
        if kind == "custom":
            raise Refused("no way", reason="because")
        if kind == "chained":
            try:
                {}["missing"]
            except KeyError as error:
                raise RuntimeError("second") from error
        raise AssertionError(kind)

    @oslo_messaging.expected_exceptions(LookupError)
    def fail_as_expected(self, context):
        raise LookupError("nothing there")

    def slow(self, context, seconds):
        self._tell("slow", context, {"seconds": seconds})
        time.sleep(seconds)
        return "done"

    def hold(self, context, value=None):
        self._tell("hold", context, {"value": value})
        self.gate.acquire()
        return value


class Greetings:
    target = oslo_messaging.Target(namespace="greetings", version="2.0")

    def hello(self, context, name):
        return "hello " + name


def main():
    parsed = peer.arguments(__doc__)
    endpoint = Endpoint(parsed.server)
    target = oslo_messaging.Target(exchange=parsed.exchange, topic=parsed.topic, server=parsed.server)
    server = oslo_messaging.get_rpc_server(
        peer.transport(parsed), target, [endpoint, Greetings()], executor="threading"
    )
    server.start()
    peer.emit(ready=True)
    for command in peer.commands():
        if command["op"] == "release":
            endpoint.gate.release()
        elif command["op"] == "stop":
            server.stop()
            server.wait()
            peer.emit(stopped=True)
    for _ in range(1000):
        endpoint.gate.release()
    server.stop()
    server.wait()


main()
