"""An oslo.messaging client that a test steers, beside a plain AMQP client for what the library would not send.

One command a line, each with an "id" that its answer repeats; commands run at the same time.

    {"id": 1, "op": "call", "method": "echo", "args": {"value": 1}, "server": "host-a", "timeout": 5}
    {"id": 1, "result": 1, "seconds": 0.004}
    {"id": 2, "op": "call", "method": "fail", "args": {}, ...}
    {"id": 2, "raised": "ValueError_Remote", "module": …, "text": …, "mro": […], "args": […], "remote": …}

op "call", "cast", "fanout": "method", "args", "context", "topic", "server", "namespace", "version", "timeout",
"monitor" (call_monitor_timeout), "at_least_once", "retry"; "args_text" in place of "args" is JSON as Python reads it,
with NaN, lone surrogates and integers of any size. --allow names the modules whose exceptions are rebuilt.
op "flood": "count" calls of one method from "threads" threads; answers with how many ended how, and the seconds.
op "raw": publishes "body" (text, or "base64") "times" times to "exchange" and "key" with "properties" and
"headers", with "compress" as kombu's gzip does it; with "replies": N it waits up to "wait" seconds for N messages on the queue "reply_queue", declared as the
library does, and goes on collecting for "linger" seconds. Answers with the parsed inner messages, or with the texts of
the bodies if "whole" is true; "replies": "ending" waits for the final one.
op "get": takes "count" messages from "queue" and answers with the texts of their bodies.
"""

import base64
import json
import queue
import threading
import time
import zlib
from urllib.parse import unquote, urlsplit

import amqp
import oslo_messaging
import peer

ALLOWED = "nova.exception,oslo_messaging.rpc.dispatcher"


def describe(error):
    fields = peer.failure(error)
    fields["args"] = json.loads(json.dumps(list(getattr(error, "args", [])), default=repr))
    fields["kwargs"] = json.loads(json.dumps(getattr(error, "kwargs", None), default=repr))
    if isinstance(error, oslo_messaging.RemoteError):
        fields["remote"] = {"type": error.exc_type, "value": error.value, "traceback": error.traceback}
    return fields


class Client:
    def __init__(self, parsed):
        self.parsed = parsed
        self.transport = peer.transport(parsed, allowed_remote_exmods=parsed.allow.split(","))
        make = getattr(oslo_messaging, "get_rpc_client", None) or oslo_messaging.RPCClient
        self.client = make(self.transport, oslo_messaging.Target(exchange=parsed.exchange, topic=parsed.topic))

    def prepared(self, command):
        options = {"topic": command.get("topic", self.parsed.topic)}
        for key in ("server", "namespace", "version", "timeout", "retry"):
            if command.get(key) is not None:
                options[key] = command[key]
        if command.get("monitor") is not None:
            options["call_monitor_timeout"] = command["monitor"]
        if command["op"] == "fanout":
            options["fanout"] = True
        if command.get("at_least_once"):
            options["transport_options"] = oslo_messaging.TransportOptions(at_least_once=True)
        return self.client.prepare(**options)

    def send(self, command):
        send = self.prepared(command)
        function = send.call if command["op"] == "call" else send.cast
        if "args_text" in command:
            args = json.loads(command["args_text"])
        else:
            args = command.get("args", {})
        return function(command.get("context", {}), command["method"], **args)

    def flood(self, command):
        numbers = queue.SimpleQueue()
        for number in range(command["count"]):
            numbers.put(number)
        outcomes = {}
        lock = threading.Lock()

        def work():
            call = self.prepared(dict(command, op="call")).call
            while True:
                try:
                    number = numbers.get_nowait()
                except queue.Empty:
                    return
                try:
                    result = call({}, command["method"], **dict(command.get("args", {}), number=number))
                    outcome = "right" if result == number else "wrong"
                except Exception as error:
                    outcome = type(error).__name__
                with lock:
                    outcomes[outcome] = outcomes.get(outcome, 0) + 1

        threads = [threading.Thread(target=work) for _ in range(command.get("threads", 8))]
        start = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return {"outcomes": outcomes, "seconds": time.monotonic() - start}


def connect(parsed):
    url = urlsplit(parsed.url)
    connection = amqp.Connection(
        host="%s:%d" % (url.hostname, url.port or 5672),
        userid=unquote(url.username or "guest"),
        password=unquote(url.password or "guest"),
        virtual_host=unquote(url.path[1:]) or "/",
    )
    connection.connect()
    return connection


def get(parsed, command):
    connection = connect(parsed)
    channel = connection.channel()
    bodies = []
    until = time.monotonic() + command.get("wait", 10)
    while len(bodies) < command.get("count", 1) and time.monotonic() < until:
        message = channel.basic_get(command["queue"], no_ack=True)
        if message is None:
            time.sleep(0.02)
        else:
            bodies.append(text(message.body))
    connection.close()
    return bodies


def text(body):
    return body if isinstance(body, str) else body.decode()


def raw(parsed, command):
    connection = connect(parsed)
    channel = connection.channel()
    replies = []

    def received(message):
        if command.get("whole"):
            replies.append(text(message.body))
            return
        outer = json.loads(message.body)
        replies.append(json.loads(outer["oslo.message"]))

    name = command.get("reply_queue")
    if name:
        channel.queue_declare(name, auto_delete=False, arguments={"x-expires": 1800000})
        channel.basic_consume(name, no_ack=True, callback=received)
    body = base64.b64decode(command["base64"]) if "base64" in command else command["body"].encode()
    properties = {"content_type": "application/json", "content_encoding": "utf-8", "delivery_mode": 2}
    properties.update(command.get("properties", {}))
    headers = dict(command.get("headers", {}))
    if command.get("compress"):
        body = zlib.compress(body)
        headers["compression"] = "application/x-gzip"
    for _ in range(command.get("times", 1)):
        message = amqp.Message(body, application_headers=headers, **properties)
        channel.basic_publish(message, exchange=command.get("exchange", parsed.exchange), routing_key=command["key"])

    def collect(until, enough):
        while time.monotonic() < until and not enough():
            try:
                connection.drain_events(timeout=max(0.01, until - time.monotonic()))
            except TimeoutError:
                pass

    if name:
        wanted = command.get("replies", 1)
        if wanted == "ending":
            enough = lambda: any(reply["ending"] for reply in replies)  # noqa: E731
        else:
            enough = lambda: len(replies) >= wanted  # noqa: E731
        collect(time.monotonic() + command.get("wait", 10), enough)
        collect(time.monotonic() + command.get("linger", 0), lambda: False)
    connection.close()
    return replies


def main():
    parsed = peer.arguments(__doc__, allow=ALLOWED)
    client = Client(parsed)

    def run(command):
        start = time.monotonic()
        try:
            if command["op"] == "raw":
                answer = {"result": raw(parsed, command)}
            elif command["op"] == "get":
                answer = {"result": get(parsed, command)}
            elif command["op"] == "flood":
                answer = {"result": client.flood(command)}
            else:
                answer = {"result": client.send(command)}
        except Exception as error:
            answer = describe(error)
        peer.emit(id=command["id"], seconds=time.monotonic() - start, **answer)

    peer.emit(ready=True)
    for command in peer.commands():
        threading.Thread(target=run, args=(command,), daemon=True).start()


main()
