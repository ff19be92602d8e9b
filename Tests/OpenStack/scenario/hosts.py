"""Hosts of vmopsd: a process each, with a QEMU backend."""

import ctypes
import os
import shutil
import signal
import subprocess
import time

import files
from common import write

LIBC = ctypes.CDLL(None)


def end_with_parent():
    LIBC.prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


class Host:
    """A host of vmopsd."""

    def __init__(self, plane, program, name, backend="qemu"):
        self.plane = plane
        self.program = program
        self.name = name
        self.backend = backend
        self.state_path = plane.path("hosts", name)
        self.log = plane.path("log", name + ".log")
        self.process = None

    def configuration(self):
        return files.host(self.plane, self.name, self.state_path, self.backend)

    def command(self, configuration):
        return [self.program, "--config-file", configuration]

    def environment(self):
        return None

    def owner(self):
        """The (uid, gid) that the host runs as, or None: whoever runs this."""
        return None

    def start(self):
        os.makedirs(self.state_path, exist_ok=True)
        if owner := self.owner():
            os.chown(self.state_path, *owner)
        configuration = self.plane.path("hosts", self.name + ".conf")
        write(configuration, self.configuration(), owner=owner)
        self.process = self.run(self.command(configuration))

    def run(self, command):
        """A process that ends with this one, its output in the host's log."""
        owner = self.owner()
        identity = dict(user=owner[0], group=owner[1], extra_groups=[]) if owner else {}
        with open(self.log, "ab") as log:
            return subprocess.Popen(
                command, env=self.environment(), cwd=self.state_path, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, preexec_fn=end_with_parent, **identity,
            )  # fmt: skip

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def stop(self, crash=False):
        """Ends the process; its guests run on unless the whole machine crashes."""
        if self.is_running():
            self.process.send_signal(signal.SIGKILL if crash else signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if crash:
            end_machines(self.state_path)

    def end(self):
        """Ends all that `start` has started."""
        self.stop()

    def last_error(self):
        try:
            with open(self.log, errors="replace") as file:
                lines = [line for line in file.read().splitlines() if '"error"' in line or " error " in line.lower()]
                return lines[-1][:300] if lines else ""
        except FileNotFoundError:
            return ""


def machines(directory):
    """Process ids of QEMU machines whose files are below a directory."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            if "qemu-system-" not in os.readlink("/proc/%s/exe" % entry):
                continue
            with open("/proc/%s/cmdline" % entry, "rb") as file:
                if (directory + "/").encode() in file.read():
                    found.append(int(entry))
        except OSError:
            pass
    return found


def end_machines(directory):
    """Machines outlive their worker by design, so whoever ends has to end them."""
    deadline = time.monotonic() + 10
    while (running := machines(directory)) and time.monotonic() < deadline:
        for process in running:
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.05)


def forget(directory):
    shutil.rmtree(directory, ignore_errors=True)
