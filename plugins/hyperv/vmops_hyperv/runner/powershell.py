"""Runs steps in PowerShell processes that stay.

A process runs `scripts/bridge.ps1`, which is constant. A request is one line, the base64 of a JSON document; the answer
is one line too: a mark, the number of the request, the base64 of a JSON document. Whatever else the process prints is
for the log. Base64 keeps the code pages of consoles out of it: both sides mean UTF-8.

Each process carries out one step at a time; there are as many as there are steps at once, up to a limit.
"""

import base64
import json
import logging
import os
import queue
import secrets
import subprocess
import threading
import time

from ..errors import HyperVError, record_error

log = logging.getLogger("vmops_plugin.hyperv")

BRIDGE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "scripts", "bridge.ps1")
LONGEST_ANSWER = 64 << 20
#: Seconds for a step of a request without a deadline. Moves and copies of disks take their time.
LONGEST_STEP = 24 * 3600.0
SLICE = 0.05


def command(executable, script=BRIDGE):
    """Without an input format PowerShell might read standard input itself, for `$input`: it is the bridge's alone."""
    return [executable, "-NoLogo", "-NoProfile", "-NonInteractive", "-ExecutionPolicy", "Bypass", "-InputFormat", "None",
            "-File", script]


class Process:
    """One PowerShell process. Not for several threads at a time."""

    def __init__(self, arguments, start_limit=60.0):
        self._nonce = secrets.token_hex(8)
        self._mark = ("@vmops:%s:" % self._nonce).encode()
        self._answers = queue.Queue()
        self._last = 0
        self._tail = []
        try:
            self._child = subprocess.Popen(
                arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0))
        except OSError as error:
            raise HyperVError("unavailable", "PowerShell does not start: %s" % error) from None
        for target in (self._read_answers, self._read_errors):
            threading.Thread(target=target, daemon=True).start()
        try:
            self.about = self.call("hello", {}, start_limit)
        except HyperVError:
            self.kill()
            raise

    @property
    def is_alive(self):
        return self._child.poll() is None

    def _read_answers(self):
        with self._child.stdout as stream:
            self._read_lines(stream)
        self._answers.put((None, None))

    def _read_lines(self, stream):
        while True:
            line = stream.readline(LONGEST_ANSWER)
            if not line:
                break
            if not line.endswith(b"\n") and len(line) >= LONGEST_ANSWER:
                log.error("an answer of PowerShell is too long")
                self._child.kill()
                break
            line = line.strip()
            if not line.startswith(self._mark):
                if line:
                    log.debug("PowerShell: %s", line[:400].decode("utf-8", "replace"))
                continue
            try:
                number, text = line[len(self._mark):].split(b":", 1)
                answer = json.loads(base64.b64decode(text, validate=True).decode("utf-8"))
                if not isinstance(answer, dict) or not isinstance(answer.get("result") or {}, dict):
                    raise ValueError("it is no object")
                self._answers.put((int(number), answer))
            except ValueError as error:
                log.error("an answer of PowerShell cannot be read: %s", error)
                self._child.kill()
                break

    def _read_errors(self):
        with self._child.stderr as stream:
            for line in iter(lambda: stream.readline(4096), b""):
                text = line.decode("utf-8", "replace").strip()
                if text:
                    self._tail = (self._tail + [text])[-5:]
                    log.warning("PowerShell: %s", text[:400])

    def send(self, operation, document):
        self._last += 1
        message = {"nonce": self._nonce, "id": self._last, "operation": operation, "document": document}
        line = base64.b64encode(json.dumps(message).encode()) + b"\n"
        try:
            self._child.stdin.write(line)
            self._child.stdin.flush()
        except (OSError, ValueError):
            raise self._gone() from None
        return self._last

    def _gone(self):
        text = "PowerShell has ended" + (": " + " ".join(self._tail) if self._tail else "")
        return HyperVError("unavailable", text)

    def call(self, operation, document, limit, check=lambda: None):
        """The answer. Past the limit, or when `check` raises, the process is in an unknown state and is ended."""
        number = self.send(operation, document)
        end = time.monotonic() + limit
        while True:
            try:
                got, answer = self._answers.get(timeout=SLICE)
            except queue.Empty:
                try:
                    check()
                    if time.monotonic() >= end:
                        raise HyperVError("timeout", "PowerShell did not answer in time")
                except Exception:
                    self.kill()
                    raise
                continue
            if got is None:
                self._answers.put((None, None))
                self.kill()
                raise self._gone()
            if got == number:
                return answer

    def answers(self, number):
        """Every answer to one request, until the process ends."""
        while True:
            got, answer = self._answers.get()
            if got is None:
                return
            if got == number:
                yield answer

    def kill(self):
        if self._child.poll() is None:
            self._child.kill()
        try:
            self._child.wait(timeout=5)
        except subprocess.TimeoutExpired:
            log.error("a PowerShell process does not end")
        try:
            self._child.stdin.close()
        except OSError:
            pass


class PowerShellRunner:
    """`files` carries out the steps on files; `limit` is how many processes there may be."""

    def __init__(self, executable="powershell.exe", files=None, limit=4, start_limit=60.0, arguments=None):
        self._arguments = arguments or command(executable)
        self._start_limit = start_limit
        self._idle = []
        self._places = threading.BoundedSemaphore(limit)
        self._lock = threading.Lock()
        self._all = set()
        self._is_closed = False
        self.files = files

    def _take(self, request):
        while not self._places.acquire(timeout=SLICE):
            request.check()
        try:
            with self._lock:
                while self._idle:
                    process = self._idle.pop()
                    if process.is_alive:
                        return process
                    self._all.discard(process)
            process = Process(self._arguments, self._start_limit)
            with self._lock:
                self._all.add(process)
            return process
        except BaseException:
            self._places.release()
            raise

    def _give_back(self, process):
        with self._lock:
            if process.is_alive and not self._is_closed:
                self._idle.append(process)
            else:
                self._all.discard(process)
        self._places.release()

    def run(self, step, request):
        if step.kind == "file":
            return self.files.run(step, request)
        process = self._take(request)
        try:
            left = request.remaining()
            limit = LONGEST_STEP if left is None else max(left, 0.001)
            answer = process.call(step.kind, step.document(), limit, request.check)
        finally:
            self._give_back(process)
        if "error" in answer:
            raise record_error(answer["error"], step.text())
        return answer.get("result") or {}

    def watch(self, changed, lost):
        """Calls `changed(record)` for each change of state that Hyper-V reports, from a thread; `lost` when that ended.
        Answers with a function that stops it."""
        process = Process(self._arguments, self._start_limit)
        with self._lock:
            self._all.add(process)
        number = process.send("watch", {})

        def listen():
            for answer in process.answers(number):
                if "error" in answer:
                    log.warning("no events from Hyper-V: %s", record_error(answer["error"], "watch"))
                    break
                if answer.get("result", {}).get("id"):
                    changed(answer["result"])
            process.kill()
            lost()

        threading.Thread(target=listen, daemon=True, name="watch").start()
        return process.kill

    def close(self):
        with self._lock:
            self._is_closed = True
            processes = list(self._all)
        for process in processes:
            process.kill()
