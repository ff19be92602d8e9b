"""Console capture: many producers, and who copies their bytes into capped files at what cost.

The producers, the descriptors and the files are the same for all; only the program in the middle differs.
"""

import fcntl
import json
import os
import resource
import shutil
import socket
import statistics
import subprocess
import time
from dataclasses import dataclass

from .processes import Failure, cpu_seconds, last_line, memory, note, prepare_child, stop, wakeups

SEGMENT = 524288  # [console] segment_bytes; one archive beside it
LINE = 64  # what the producer writes
FIRST_READ = 1000  # descriptor numbers, apart from everything else that is open
FIRST_WRITE = 8000
SETTLE = 1.0  # seconds from the first lines to silence: they are written within [console] flush_interval_ms
REST = 11  # and until the console service has closed what nobody writes to: it looks every five whether anything came
PIPE = 262144  # what a guest's pipe holds: the default of [qemu] console_pipe_bytes, with which its FIFOs are made
SET_PIPE_SIZE = 1031  # F_SETPIPE_SZ, which older versions of Python do not name
BLOCK = 4096  # what a guest writes at a time
PACED = 20 * 2**20  # bytes per second of all guests together, where they do not print as fast as they can


@dataclass(frozen=True)
class Case:
    """How many guests print, and how fast all together; 0 = as fast as they are read."""

    name: str
    count: int
    rate: int = 0


CASES = (Case("1", 1), Case("100", 100), Case("1000", 1000), Case("1000-paced", 1000, PACED))


def cats(setting, count, directory):
    """One cat(1) for each console. It has no cap: its file grows to the whole output."""
    for index in range(count):
        with open(os.path.join(directory, str(index), "console.log"), "wb") as file:
            yield dict(args=["cat"], stdin=FIRST_READ + index, stdout=file)


def one_cat(setting, count, directory):
    yield dict(args=[setting.program("one_cat"), str(FIRST_READ), str(count), directory, str(SEGMENT)], ready=True)


def vmops(setting, count, directory):
    arguments = ["--first-descriptor", str(FIRST_READ), "--count", str(count), "--directory", directory]
    arguments += ["--segment-bytes", str(SEGMENT), "--archives", "1"]
    yield dict(args=[setting.swift["vmops-bench"], "console", *arguments], ready=True)


CAPTURERS = {"cat": cats, "one_cat": one_cat, "vmops": vmops}


def open_channels(count, kind):
    """`count` sockets or pipes at fixed descriptor numbers."""
    for index in range(count):
        if kind == "pipe":
            reader, writer = os.pipe()
            fcntl.fcntl(reader, SET_PIPE_SIZE, PIPE)
        else:
            one, other = socket.socketpair()
            reader, writer = one.detach(), other.detach()
        for number, target in ((reader, FIRST_READ + index), (writer, FIRST_WRITE + index)):
            os.dup2(number, target, inheritable=False)
            os.close(number)


def close_range(first, count):
    os.closerange(first, first + count)


def measure_one(setting, name, case, total, kind, idle_seconds):
    """One run; bytes per second, CPU seconds per MiB, memory and wake-ups while idle."""
    count = case.count
    directory = os.path.join(setting.directory, "consoles", "%s-%s-%d" % (case.name, name, time.monotonic_ns()))
    for index in range(count):
        os.makedirs(os.path.join(directory, str(index)))
    each = max((total if not case.rate else case.rate * 3) // count // LINE, 1) * LINE
    log = os.path.join(setting.directory, "console-%s.log" % name)
    processes, producer = [], None
    open_channels(count, kind)
    try:
        with open(log, "wb") as errors:
            for options in CAPTURERS[name](setting, count, directory):
                ready = options.pop("ready", False)
                if ready:
                    options.update(stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   pass_fds=range(FIRST_READ, FIRST_READ + count))  # fmt: skip
                process = subprocess.Popen(stderr=errors, preexec_fn=prepare_child, **options)
                processes.append(process)
                if ready and process.stdout.readline() != b"ready\n":
                    raise Failure("%s did not get ready: %s" % (name, last_line(log)))
            producer = subprocess.Popen(
                [setting.program("producer"), *map(str, (FIRST_WRITE, count, each, BLOCK, case.rate))],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, preexec_fn=prepare_child,
                pass_fds=range(FIRST_WRITE, FIRST_WRITE + count),
            )  # fmt: skip
        close_range(FIRST_READ, count)
        close_range(FIRST_WRITE, count)
        figures = idle_figures(processes, REST if name == "vmops" else SETTLE, idle_seconds)
        begun = time.monotonic()
        before = sum(cpu_seconds(process.pid) for process in processes)
        producer.stdin.write(b"g")
        producer.stdin.close()
        cpu, peak = wait_for_all(processes, name, log)
        seconds = time.monotonic() - begun
        made = json.loads(producer.stdout.read())
        producer.wait()
        dropped = sum(dropped_bytes(process) for process in processes)
        stored = made["bytes"] - dropped
        figures.update(
            bytes=made["bytes"], dropped=dropped, seconds=seconds, rate=stored / seconds, peak=peak,
            cpu_ms_per_mib=(cpu - before) * 1e3 / (made["bytes"] / 2**20),
        )  # fmt: skip
        if dropped == 0:
            check_files(directory, count, each, name != "cat")
        return figures
    finally:
        close_range(FIRST_READ, count)
        close_range(FIRST_WRITE, count)
        for process in processes + ([producer] if producer else []):
            if process.returncode is None:
                stop(process)
        empty_files(directory)


def empty_files(directory):
    """Frees the space. The files stay until the end: ext4 is slow to make new ones for minutes after a removal."""
    for path, _, files in os.walk(directory):
        for file in files:
            os.truncate(os.path.join(path, file), 0)


def idle_figures(processes, settle, seconds):
    """Memory and wake-ups after the first line of each console, while nothing is printed."""
    time.sleep(settle)
    before = sum(wakeups(process.pid) for process in processes)
    time.sleep(seconds)
    return {
        "idle_rss": sum(memory(process.pid)["rss"] for process in processes),
        "idle_anonymous": sum(memory(process.pid)["anonymous"] for process in processes),
        "idle_wakeups_per_s": (sum(wakeups(process.pid) for process in processes) - before) / seconds,
    }


def wait_for_all(processes, name, log):
    """Waits for every process; their CPU seconds and the sum of their peak memory."""
    cpu, peak = 0.0, 0
    for process in processes:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise Failure("%s ended with status %d: %s" % (name, process.returncode, last_line(log)))
        cpu += usage.ru_utime + usage.ru_stime
        peak += usage.ru_maxrss * 1024
    return cpu, peak


def dropped_bytes(process):
    """What a capturer that may give up bytes says it gave up."""
    text = process.stdout.read() if process.stdout else b""
    return json.loads(text)["dropped"] if text.startswith(b"{") else 0


def check_files(directory, count, each, capped):
    """The files of every console are the end of what it printed, and at least a segment of it."""
    for index in range(count):
        length, ends = 0, []
        for file in ("console.log.1", "console.log"):
            path = os.path.join(directory, str(index), file)
            if os.path.exists(path) and os.path.getsize(path) > 0:
                length += os.path.getsize(path)
                with open(path, "rb") as content:
                    first = content.read(LINE)
                    content.seek(-LINE, os.SEEK_END)
                    ends += [first, content.read()]
        wanted = min(each, SEGMENT - 80) if capped else each  # A segment may end at a newline near its cap.
        if length < wanted:
            raise Failure("console %d has %d of at least %d bytes" % (index, length, wanted))
        last = b"console %04x line %012x " % (index, each // LINE - 1)
        begin = (each - length) // LINE
        if not ends[-1].startswith(last) or (each - length) % LINE == 0 and not ends[0].startswith(
            b"console %04x line %012x " % (index, begin)
        ):
            raise Failure("console %d does not hold the end of its output" % index)


def measure(setting, rounds, total, kind="pipe", idle_seconds=1.0):
    """{case/capturer: [figures of each round]} and {the same: why there is none}."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    measured, failed = {}, {}
    names = [name for name in CAPTURERS if name != "vmops" or "vmops-bench" in setting.swift]
    try:
        measure_rounds(setting, names, rounds, (total, kind, idle_seconds), measured, failed)
    finally:
        shutil.rmtree(os.path.join(setting.directory, "consoles"), ignore_errors=True)
    for cell in failed:
        measured.pop(cell, None)
    return measured, failed


def measure_rounds(setting, names, rounds, how, measured, failed):
    for number in range(rounds):
        note("consoles, round %d of %d" % (number + 1, rounds))
        for case in CASES:
            turn = number % len(names)
            for name in names[turn:] + names[:turn]:
                cell = "%s/%s" % (case.name, name)
                if cell in failed:
                    continue
                try:
                    figures = measure_one(setting, name, case, *how)
                    measured.setdefault(cell, []).append(figures)
                except Failure as failure:
                    failed[cell] = str(failure)
                    note("consoles %s: %s" % (cell, failure))


def median(measured, cell, name):
    return statistics.median(figures[name] for figures in measured[cell]) if measured.get(cell) else None


def ratio(measured, cell, bases, name):
    """The median over the rounds of this cell's figure by the larger of the bases' in the same round."""
    bases = [base for base in bases if measured.get(base)]
    if not measured.get(cell) or not bases:
        return None
    rounds = zip(measured[cell], *(measured[base] for base in bases))
    return statistics.median(own[name] / max(base[name] for base in others) for own, *others in rounds)
