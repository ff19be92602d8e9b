"""Real machines: from the request on the queue to the guest's first word, beside the same QEMU started by hand."""

import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import time
import uuid

from .build import HERE, ROOT
from .processes import Failure, note, output_of, prepare_child, stop
from .servers import Server, write_configuration

HOST = "bench-qemu"
MANY = 50
CONFIGURATION = "\n[qemu]\nacceleration = tcg\nmachine_type = pc\ndisk_bus = ide\n"
SECONDS = 60


def reason_against(setting):
    """Why real machines cannot be measured here, or None."""
    for program in ("qemu-system-x86_64", "qemu-img"):
        if not shutil.which(program):
            return "%s is not installed" % program
    return None if setting.python else "no Python environment"


class Caller:
    """An oslo.messaging client that is connected already."""

    def __init__(self, setting):
        command = [setting.python, "-W", "ignore", os.path.join(HERE, "caller.py"), "--url", setting.url]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=prepare_child
        )
        self.process.stdout.readline()

    def send(self, how, method, **args):
        self.process.stdin.write(json.dumps([how, HOST, method, args]) + "\n")
        self.process.stdin.flush()

    def call(self, method, **args):
        self.send("call", method, **args)
        line = self.process.stdout.readline()
        if not line:
            raise Failure("%s was not answered" % method)
        return json.loads(line)


def instance(number):
    return {"uuid": str(uuid.uuid4()), "name": "guest-%d" % number, "memory_mb": 16, "vcpus": 1, "root_gb": 0,
            "image_ref": "tick"}  # fmt: skip


def until(condition, what):
    limit = time.monotonic() + SECONDS
    while not condition():
        if time.monotonic() > limit:
            raise Failure("%s did not come within %d s" % (what, SECONDS))
        time.sleep(0.0005)


def holds(path, text):
    try:
        with open(path, "rb") as file:
            return text in file.read()
    except FileNotFoundError:
        return False


def processes(state):
    """The QEMU processes of machines whose files are below a directory."""
    found = []
    for each in os.listdir("/proc"):
        try:
            if each.isdigit() and "qemu-system" in os.readlink("/proc/%s/exe" % each):
                with open("/proc/%s/cmdline" % each) as file:
                    if state in file.read():
                        found.append(int(each))
        except OSError:
            continue
    return found


def by_request(caller, state, number):
    """Seconds from the cast of a spawn to the first console byte in the log; the machine's command line too."""
    wanted = instance(number)
    log = os.path.join(state, HOST, "instances", wanted["uuid"], "console.log")
    begun = time.monotonic()
    caller.send("cast", "spawn", instance=wanted)
    until(lambda: holds(log, b"["), "the first word of a guest")
    elapsed = time.monotonic() - begun
    caller.call("get_info", instance=wanted)
    [pid] = processes(os.path.dirname(log))
    with open("/proc/%d/cmdline" % pid) as file:
        command = file.read().split("\0")[:-1]
    caller.call("destroy", instance=wanted)
    return elapsed, command, os.path.dirname(log)


def by_hand(command, old, directory, image):
    """Seconds from starting that command line, its files in another directory, to the first console byte."""
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    # The machine's own files lie apart from the instance's.
    machine = os.path.dirname(next(part[5:] for word in command for part in word.split(",") if part.startswith("path=")))
    words = [word.replace(old, directory).replace(machine, directory) for word in command]
    for word in words:
        for part in word.replace('"', ",").split(","):
            if part.endswith(".qcow2") and part.startswith(directory):
                output_of(["qemu-img", "create", "-q", "-f", "qcow2", "-b", image, "-F", "raw", part])
    pipe = next(part[5:] for word in words for part in word.split(",") if part.startswith("path="))
    for end in (".in", ".out"):
        os.mkfifo(pipe + end)
    output = os.open(pipe + ".out", os.O_RDONLY | os.O_NONBLOCK)
    monitor = socket.socket(socket.AF_UNIX)
    monitor.bind(os.path.join(directory, "hand.sock"))
    monitor.listen(1)
    # The command line expects the socket as descriptor 3.
    words = ["bash", "-c", 'exec "$@" 3<&%d' % monitor.fileno(), "bash", *words]

    def read():
        try:
            return os.read(output, 1)
        except BlockingIOError:
            return b""

    begun = time.monotonic()
    with open(os.path.join(directory, "qemu.log"), "wb") as log:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=(monitor.fileno(),))
    try:
        until(lambda: read() or process.poll() is not None, "the first word of a guest started by hand")
        if process.poll() is not None:
            with open(os.path.join(directory, "qemu.log")) as log:
                raise Failure("QEMU ended: %s" % log.read().strip()[-300:])
        return time.monotonic() - begun
    finally:
        process.kill()
        process.wait()
        os.close(output)
        monitor.close()
        shutil.rmtree(directory, ignore_errors=True)


def many(caller, state):
    """Seconds until `MANY` guests, asked for at once, have booted; then their memory, and until all are gone."""
    wanted = [instance(number) for number in range(MANY)]
    logs = [os.path.join(state, HOST, "instances", each["uuid"], "console.log") for each in wanted]
    begun = time.monotonic()
    for each in wanted:
        caller.send("cast", "spawn", instance=each)
    until(lambda: all(holds(log, b"ready") for log in logs), "the boot of %d guests" % MANY)
    booted = time.monotonic() - begun
    resident = 0
    for pid in processes(state):
        with open("/proc/%d/smaps_rollup" % pid) as file:
            resident += next(int(line.split()[1]) * 1024 for line in file if line.startswith("Pss:"))
    begun = time.monotonic()
    for each in wanted:
        caller.send("cast", "destroy", instance=each)
    until(lambda: not processes(state), "the end of %d guests" % MANY)
    return {"guests": MANY, "booted_s": booted, "pss": resident, "destroyed_s": time.monotonic() - begun}


def measure(setting, rounds):
    """`{"request": [s], "hand": [s], "many": {…}}`."""

    def command(setting, server):
        path = write_configuration(setting, server.name, [HOST])
        with open(path) as file:
            text = file.read().replace("backend = simulated", "backend = qemu")
        with open(path, "w") as file:
            file.write(text + CONFIGURATION)
        return [setting.swift["vmopsd"], "--config-file", path]

    server = Server("vmopsd-qemu", "vmopsd, real machines", HOST, command)
    state = os.path.join(setting.directory, server.name + ".state")
    image = os.path.join(state, "images", "tick.raw")
    server.start(setting)
    caller = None
    try:
        os.makedirs(os.path.dirname(image), exist_ok=True)
        output_of(["python3", os.path.join(ROOT, "Tests", "Guests", "build.py"), "tick", image])
        caller = Caller(setting)
        by_request(caller, state, 0)
        figures = {"request": [], "hand": []}
        for number in range(rounds):
            note("guest %d of %d" % (number + 1, rounds))
            seconds, words, old = by_request(caller, state, number)
            figures["request"].append(seconds)
            figures["hand"].append(by_hand(words, old, os.path.join(state, "hand"), image))
        figures["ratio"] = statistics.median(a / b for a, b in zip(figures["request"], figures["hand"]))
        note("%d guests at once" % MANY)
        figures["many"] = many(caller, state)
        return figures
    finally:
        if caller:
            stop(caller.process)
        server.stop()
        for pid in processes(state):
            os.kill(pid, signal.SIGKILL)
