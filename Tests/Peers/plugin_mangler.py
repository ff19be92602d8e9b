"""Stands between the conformance kit and a plugin that is right, and makes one thing wrong.

    plugin_mangler.py DEFECT COMMAND...            a child
    plugin_mangler.py DEFECT COMMAND... METHOD     a one-shot plugin, for the defects of those

Each defect is a function below: it gets the frames of one side and says what goes on to the other.
"""

import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time


OUTPUT = open(1, "wb", buffering=0, closefd=False)


class Mangler:
    def __init__(self, defect, command):
        self.defect = defect
        self.lock = threading.Lock()
        self.methods = {}
        self.requests = {}
        self.cancelled = set()
        self.hurried = set()
        self.keys = set()
        self.deleted = set()
        self.attached = set()
        self.held = []
        self.sequence = 0
        self.skipped = 0
        environment = dict(os.environ, VMOPS_PLUGIN="1") if defect == "cookie" else None
        if defect == "early":
            self.emit({"kind": "hello", "versions": [1]})
        self.child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, env=environment
        )

    # Frames

    @staticmethod
    def read(file):
        head = b""
        while len(head) < 4:
            more = file.read(4 - len(head))
            if not more:
                return None
            head += more
        (length,) = struct.unpack(">I", head)
        body = b""
        if length > 64 << 20:
            return head, b""
        while len(body) < length:
            more = file.read(length - len(body))
            if not more:
                break
            body += more
        return head, body

    def write(self, file, data):
        try:
            view = memoryview(data)
            while view:
                view = view[file.write(view) :]
        except (BrokenPipeError, ValueError):
            pass

    def emit(self, message):
        payload = b"\x01" + json.dumps(message).encode()
        with self.lock:
            self.write(OUTPUT, struct.pack(">I", len(payload)) + payload)

    def emit_raw(self, body):
        with self.lock:
            self.write(OUTPUT, struct.pack(">I", len(body)) + body)

    def forward(self, message):
        payload = b"\x01" + json.dumps(message).encode()
        self.write(self.child.stdin, struct.pack(">I", len(payload)) + payload)

    def error(self, id, code, message="mangled", details=None):
        error = {"code": code, "message": message, "details": details or {}}
        self.emit({"kind": "response", "id": id, "error": error})

    # The worker's side

    def serve(self):
        if self.defect != "sigpipe":
            signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        else:
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        output = threading.Thread(target=self.answers, daemon=True)
        output.start()
        source = open(0, "rb", buffering=0)
        while True:
            frame = self.read(source)
            if frame is None:
                break
            head, body = frame
            message = None
            if body[:1] == b"\x01":
                try:
                    message = json.loads(body[1:])
                except ValueError:
                    pass
            if isinstance(message, dict):
                self.from_worker(message, body)
            elif self.defect in ("non-object", "long-frames", "empty-frames"):
                # What is wrong is passed over in silence.
                continue
            elif self.defect == "unknown-type" and body[:1] not in (b"\x01", b"\x02", b""):
                os._exit(3)
            else:
                self.write(self.child.stdin, head + body)
        if self.defect == "deaf":
            time.sleep(60)
        self.child.stdin.close()
        output.join(60)
        self.end()

    def end(self):
        if self.defect == "deaf":
            time.sleep(60)
        status = self.child.wait()
        if self.defect == "exit-status":
            status = 75 if status == 76 else 3
        os._exit(status if status >= 0 else 128)

    def from_worker(self, message, body):
        kind, id, defect = message.get("kind"), message.get("id"), self.defect
        params = message.get("params") or {}
        method = message.get("method")
        if kind == "hello" and defect == "amnesia":
            shutil.rmtree(message["state_directory"], ignore_errors=True)
            os.makedirs(message["state_directory"])
        if kind not in ("hello", "request", "cancel", "credit", "ping", "pong", "goodbye"):
            if defect == "unknown-kind":
                os._exit(3)
        if kind == "request":
            self.methods[id] = method
            self.requests[id] = params
            if message.get("deadline_ms") == 1:
                self.hurried.add(id)
            if defect == "strict" and set(params) - {"after", "limit"}:
                if method == "machine.list":
                    return self.error(id, "invalid_argument")
            if defect == "repeat" and method == "machine.create":
                if message["idempotency_key"] in self.keys:
                    return self.error(id, "already_exists")
                self.keys.add(message["idempotency_key"])
            if defect == "names" and method == "machine.create" and isinstance(params.get("spec"), dict):
                if params["spec"].get("uuid"):
                    params["spec"]["name"] = "good"
            if defect == "takeover" and method == "console.open":
                params.pop("takeover", None)
            if defect == "pages" and method == "machine.list":
                params["limit"] = 100
            if defect == "overwrite" and method == "disk.create" and os.path.exists(params.get("path") or ""):
                os.unlink(params["path"])
            if defect == "delete" and method == "machine.delete":
                if params.get("uuid") in self.deleted:
                    return self.error(id, "not_found")
                self.deleted.add(params.get("uuid"))
            if defect == "attach" and method == "machine.attachDisk":
                if params["disk"]["path"] in self.attached:
                    return self.error(id, "already_exists")
                self.attached.add(params["disk"]["path"])
            if defect == "tramples" and method == "machine.delete":
                self.deleted.add(params.get("uuid"))
            if defect == "secrets" and "data" in params:
                sys.stderr.write(json.dumps(params) + "\n")
                sys.stderr.flush()
        if kind == "cancel":
            with self.lock:
                self.cancelled.add(id)
                held, self.held = (self.held, []) if defect == "cancel" else ([], self.held)
            for response in held:
                self.from_plugin(response)
        if kind == "ping" and defect == "no-pong":
            return
        if defect == "small-frames" and len(body) > 65536:
            os._exit(3)
        if kind == "credit" and defect == "credit":
            return
        self.forward(message)
        if defect == "credit" and kind == "request" and method == "console.write":
            for stream in range(1, 100):
                self.forward({"kind": "credit", "stream": stream, "bytes": 1 << 20})

    # The plugin's side

    def answers(self):
        while True:
            frame = self.read(self.child.stdout)
            if frame is None:
                # It may have ended by itself, while the worker has more to say.
                return self.end()
            head, body = frame
            if body[:1] == b"\x02":
                self.console(body)
            elif body[:1] == b"\x01":
                self.from_plugin(json.loads(body[1:]))
            else:
                self.emit_raw(body)

    def console(self, body):
        if self.defect == "lost-byte" and len(body) > 30 and self.skipped == 0:
            self.skipped = 1
            body = body[:-1]
        if self.defect == "late-bytes":
            self.held.append(body)
            if len(self.held) < 2:
                return
            body = self.held.pop(0)
        self.emit_raw(body)

    def from_plugin(self, message):
        kind, id, defect = message.get("kind"), message.get("id"), self.defect
        if kind == "hello":
            if defect == "nonce":
                message["nonce"] = "another"
            if defect == "incomplete":
                del message["plugin"]
            if defect == "version" and "version" in message:
                message["version"] = 4712
            if defect == "host-id":
                message["host"]["id"] = os.urandom(8).hex()
        if kind == "response":
            method, result, error = self.methods.get(id), message.get("result"), message.get("error")
            if defect == "twice":
                self.emit(message)
            if defect == "codes" and error and error["code"] == "unimplemented":
                error["code"] = "internal"
            if defect == "error-shape" and error:
                del error["message"]
            if defect == "lenient" and error and error["code"] == "invalid_argument":
                error["code"] = "internal"
            if defect == "details" and error:
                error["details"] = {}
            if defect == "ids" and id > 1 << 53:
                message["id"] = int(float(id)) + 2
            if defect == "cancel" and method == "machine.setState" and self.requests[id]["state"] == "running":
                # Whichever of the two is faster.
                with self.lock:
                    if id not in self.cancelled:
                        self.held.append(message)
                        return
                message = {"kind": "response", "id": id, "error": {"code": "internal", "message": "mangled"}}
            if defect == "deadline" and id in self.hurried:
                return
            if method == "machine.setState" and defect == "refusal" and error and error["code"] == "invalid_state":
                message = {"kind": "response", "id": id, "result": {"state": self.requests[id]["state"]}}
            if error and defect == "left-behind" and method == "machine.get" and error["code"] == "not_found":
                left = {"uuid": self.requests[id]["uuid"], "name": "mangled", "state": "running"}
                message = {"kind": "response", "id": id, "result": left}
            if method == "migrate.start" and error and defect == "lost":
                self.deleted.add(self.requests[id]["uuid"])
            if result:
                if defect == "lost" and method == "machine.get" and result["uuid"] in self.deleted:
                    result["state"] = "off"
                if defect == "adopts" and method == "machine.list":
                    for each in result["machines"]:
                        each.setdefault("uuid", "00000000-0000-4000-8000-000000000001")
                if defect == "tramples" and method == "machine.list" and self.deleted:
                    result["machines"] = [each for each in result["machines"] if "uuid" in each]
                if defect == "state" and method == "machine.setState":
                    result["state"] = "running"
                if defect == "list" and method == "machine.list":
                    result["machines"] = result["machines"][1:]
                if defect == "incarnation" and "incarnation" in result:
                    result["incarnation"] = 1
                if defect == "figures" and method == "host.info":
                    result["vcpus"] = 0
                if defect == "size" and method.startswith("disk."):
                    result["virtual_size"] += 512
                if defect == "answer" and method == "machine.requestShutdown":
                    result["answer"] = "perhaps"
        if kind == "progress" and defect == "phases":
            message["phase"] = "completed" if message["phase"] == "setup" else message["phase"]
        if kind == "event":
            if defect == "told-stopped" and message["type"] == "migrated-out":
                message.update(type="stopped", reason="host")
            if defect == "sequence":
                message["seq"] += message["seq"] // 2
            if defect == "time":
                del message["time"]
            if defect == "late":
                return threading.Timer(1.0, self.emit, [message]).start()
            if defect == "order":
                if message["type"] == "started":
                    self.held.append(message)
                    return
                elif self.held:
                    first = self.held.pop()
                    message["seq"], first["seq"] = first["seq"], message["seq"]
                    self.emit(message)
                    message = first
        if kind == "end":
            if defect == "reason":
                message["reason"] = "finished"
            if defect == "late-bytes":
                self.emit(message)
                while self.held:
                    self.emit_raw(self.held.pop(0))
                return
            if defect == "left" and message["reason"] == "migrated":
                message["reason"] = "stopped"
            if defect == "closed" and message["reason"] == "closed":
                message["reason"] = "stopped"
            if defect == "superseded" and message["reason"] == "superseded":
                return
        self.emit(message)
        if kind == "hello" and defect == "garbage":
            with self.lock:
                self.write(OUTPUT, b"Loading the module...\n")


def once(defect, command):
    """A run of a one-shot plugin."""
    run = subprocess.run(command, stdin=0, stdout=subprocess.PIPE)
    output, status = run.stdout, run.returncode
    if defect == "noise":
        output = b"Loading the module...\n" + output
    if defect == "status":
        status = 4
    if defect == "no-document":
        output = b"[]\n"
    OUTPUT.write(output)
    return status


if __name__ == "__main__":
    if sys.argv[1] in ("noise", "status", "no-document"):
        sys.exit(once(sys.argv[1], sys.argv[2:]))
    if sys.argv[1] == "cookie" or "VMOPS_PLUGIN" in os.environ:
        Mangler(sys.argv[1], sys.argv[2:]).serve()
    sys.exit(subprocess.call(sys.argv[2:]))
