"""The worker's side of the protocol, written from its description and not from the SDK: for tests only."""

import json
import os
import queue
import struct
import subprocess
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
SDK = os.path.dirname(HERE)
PATIENCE = 20


class Answer(Exception):
    """A response that is an error."""

    def __init__(self, error):
        super().__init__(error["code"] + ": " + error.get("message", ""))
        self.code = error["code"]
        self.error = error


class Plugin:
    """A plugin as a child process. `messages` of each kind, and console frames, wait in queues."""

    def __init__(self, command, directory, environment=None, host="compute1"):
        self.directory = directory
        self.host = host
        for name in ("instances", "state"):
            os.makedirs(os.path.join(directory, name), exist_ok=True)
        clean = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": directory, "VMOPS_PLUGIN": "1"}
        clean.update({"PYTHONPATH": SDK, **(environment or {})})
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean, bufsize=0
        )
        self.queues = {}
        self.lock = threading.Lock()
        self.log = []
        self.last = 0
        # While it is closed nothing is read.
        self.gate = threading.Event()
        self.gate.set()
        self.threads = [threading.Thread(target=each, daemon=True) for each in (self._read, self._read_log)]
        for thread in self.threads:
            thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    @property
    def instances(self):
        return os.path.join(self.directory, "instances")

    def end(self, timeout=10):
        """End of file on its standard input; the exit status."""
        try:
            self.process.stdin.close()
        except OSError:
            pass
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            for thread in self.threads:
                thread.join(5)
            self.process.stdout.close()
            self.process.stderr.close()

    def queue(self, kind):
        with self.lock:
            return self.queues.setdefault(kind, queue.Queue())

    def _read(self):
        stream = self.process.stdout
        data = b""
        while True:
            piece = stream.read(65536)
            self.gate.wait()
            if not piece:
                break
            data += piece
            while len(data) >= 4:
                (length,) = struct.unpack(">I", data[:4])
                assert 1 <= length <= 1 << 20, data[:64]
                if len(data) < 4 + length:
                    break
                kind, payload, data = data[4], data[5 : 4 + length], data[4 + length :]
                self._take(kind, payload)
        self.queue("eof").put(data)
        self.queue("response").put(None)

    def _take(self, kind, payload):
        if kind == 2:
            stream, offset = struct.unpack(">IQ", payload[:12])
            self.queue(f"stream {stream}").put(("data", offset, payload[12:]))
            return
        assert kind == 1, kind
        message = json.loads(payload.decode("utf-8"))
        if message["kind"] in ("dropped", "end"):
            self.queue(f"stream {message['stream']}").put((message["kind"], message))
        elif message["kind"] == "response":
            self.queue(f"response {message['id']}").put(message)
        elif message["kind"] == "progress":
            self.queue(f"progress {message['id']}").put(message)
        else:
            self.queue(message["kind"]).put(message)

    def _read_log(self):
        for line in self.process.stderr:
            self.log.append(line.decode("utf-8", "replace"))

    def send_bytes(self, data):
        self.process.stdin.write(data)

    def send(self, **message):
        text = json.dumps(message).encode()
        self.send_bytes(struct.pack(">IB", len(text) + 1, 1) + text)

    def hello(self, options=None, **changes):
        message = {
            "kind": "hello",
            "protocol": "vmops-plugin",
            "versions": [1],
            "worker": {"name": "test", "version": "0"},
            "host": self.host,
            "nonce": "0123",
            "instances_directory": self.instances,
            "state_directory": os.path.join(self.directory, "state"),
            "options": options or {},
            "limits": {"max_frame": 1048576},
        }
        message.update(changes)
        self.send(**message)
        return self.queue("hello").get(timeout=PATIENCE)

    def begin(self, method, params=None, **members):
        self.last += 1
        self.send(kind="request", id=self.last, method=method, params=params or {}, **members)
        return self.last

    def result(self, number):
        response = self.queue(f"response {number}").get(timeout=PATIENCE)
        assert ("result" in response) != ("error" in response), response
        if "error" in response:
            raise Answer(response["error"])
        return response["result"]

    def call(self, method, **params):
        return self.result(self.begin(method, params, deadline_ms=20000))

    def event(self, uuid=None):
        while True:
            message = self.queue("event").get(timeout=PATIENCE)
            if uuid is None or message["uuid"] == uuid:
                return message

    def read(self, stream, count, credit=True):
        """The next console bytes of a stream, at least `count`; their first offset."""
        data, first = b"", None
        while len(data) < count:
            item = self.queue(f"stream {stream}").get(timeout=PATIENCE)
            assert item[0] == "data", item
            if first is None:
                first = item[1]
            assert item[1] == first + len(data), (item[1], first, len(data))
            data += item[2]
            if credit:
                self.send(kind="credit", stream=stream, bytes=len(item[2]))
        return first, data


def python(*words):
    return [sys.executable, *words]


def example(name):
    return python(os.path.join(SDK, "examples", name))
