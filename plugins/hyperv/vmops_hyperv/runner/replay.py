"""Answers steps from a recording, and makes recordings."""

import json
import re
import threading

from ..errors import HyperVError


class ReplayRunner:
    """A recording is a list of {"step": text, "result": …} or {"step": text, "error": {"code", "message"}}.

    A step is answered by the first of its pairs that has not been used; the last one is used again and again. A step
    that nobody recorded is an error: the plan is not the one that met a real host.
    """

    def __init__(self, pairs, files=None):
        self._pairs = {}
        for pair in pairs:
            self._pairs.setdefault(pair["step"], []).append(pair)
        self._lock = threading.Lock()
        self.asked = []
        self.files = files

    @classmethod
    def load(cls, path, files=None):
        with open(path, encoding="utf-8") as file:
            return cls(json.load(file)["pairs"], files)

    def run(self, step, request):
        text = step.text()
        with self._lock:
            self.asked.append(text)
            if step.kind == "file" and text not in self._pairs and self.files is not None:
                return self.files.run(step, request)
            pairs = self._pairs.get(text)
            if not pairs:
                raise HyperVError("internal", "not in the recording: " + text)
            pair = pairs.pop(0) if len(pairs) > 1 else pairs[0]
        if "error" in pair:
            raise HyperVError(pair["error"]["code"], pair["error"]["message"])
        return pair.get("result") or {}

    def watch(self, changed, lost):
        return lambda: None

    def close(self):
        pass


class RecordingRunner:
    """Carries out by another runner, and writes down."""

    def __init__(self, runner):
        self._runner, self._lock = runner, threading.Lock()
        self.pairs = []

    def __getattr__(self, name):
        return getattr(self._runner, name)

    def run(self, step, request):
        try:
            result = self._runner.run(step, request)
        except HyperVError as error:
            self._note({"step": step.text(), "error": {"code": error.code, "message": error.message}})
            raise
        self._note({"step": step.text(), "result": result})
        return result

    def _note(self, pair):
        with self._lock:
            self.pairs.append(json.loads(json.dumps(pair)))


_HEX = "[0-9A-Fa-f]"
#: In one pass: what has been replaced is not looked at again. Twelve digits alone may be a size.
_PATTERN = re.compile(
    r"(?P<uuid>\b{h}{{8}}-{h}{{4}}-{h}{{4}}-{h}{{4}}-{h}{{12}}\b)"
    r"|(?P<mac>\b(?:{h}{{2}}[:-]){{5}}{h}{{2}}\b|\b(?=\d*[A-F])[0-9A-F]{{12}}\b)"
    r"|(?P<sid>\bS-1-5-21(?:-\d+){{3,5}}\b)"
    r"|(?P<address>\b\d{{1,3}}(?:\.\d{{1,3}}){{3}}\b)".format(h=_HEX))


class Redactor:
    """Replaces names and addresses, each by the same text throughout: what was equal stays equal.

    `names` are the texts to replace besides what looks like an address or a uuid: of hosts, domains, users, machines.
    """

    KEEP = frozenset(("127.0.0.1", "0.0.0.0"))

    def __init__(self, names=()):
        self._known = {}
        # The longest first: one name may be part of another.
        self._names = sorted({name for name in names if name and len(name) > 2}, key=len, reverse=True)

    def _replacement(self, kind, text):
        key = (kind, text.lower())
        if key not in self._known:
            number = sum(1 for each in self._known if each[0] == kind) + 1
            self._known[key] = {
                "uuid": "00000000-0000-4000-8000-%012d" % number,
                "mac": "0200000000%02X" % (number % 256) if re.match(r"[0-9A-Fa-f]{12}\Z", text)
                else "02:00:00:00:00:%02x" % (number % 256),
                "address": "192.0.2.%d" % (number % 255),
                "sid": "S-1-5-21-1-1-1-%d" % (1000 + number),
                "name": "name-%d" % number,
            }[kind]
        return self._known[key]

    def text(self, text):
        for name in self._names:
            text = re.sub(re.escape(name), lambda found: self._replacement("name", found.group()), text,
                          flags=re.IGNORECASE)
        return _PATTERN.sub(
            lambda found: found.group() if found.group() in self.KEEP
            else self._replacement(found.lastgroup, found.group()), text)

    def value(self, value):
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.value(each) for each in value]
        if isinstance(value, dict):
            return {key: self.value(each) for key, each in value.items()}
        return value
