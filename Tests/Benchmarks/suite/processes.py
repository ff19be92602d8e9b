"""Child processes that cannot outlive the benchmark, and what the kernel knows about them."""

import ctypes
import os
import resource
import signal
import subprocess
import sys
import time


class Failure(Exception):
    """Something the benchmark needs did not work; told to the user in one line."""


LIBC = ctypes.CDLL(None)


def prepare_child():
    """Runs in the child: it ends with its parent, and may open as many descriptors as the machine allows."""
    LIBC.prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def start(command, log, **options):
    """A process whose standard error, and output unless given, go to the file `log`."""
    with open(log, "ab") as output:
        options.setdefault("stdout", output)
        options.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.Popen(command, stderr=output, preexec_fn=prepare_child, **options)


def stop(process, seconds=10):
    """SIGTERM, and SIGKILL when that was not enough."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def last_line(path):
    try:
        with open(path, errors="replace") as file:
            lines = [line.strip() for line in file if line.strip()]
            return lines[-1] if lines else ""
    except FileNotFoundError:
        return ""


def cpu_seconds(pid):
    """CPU time of all threads of a process, ended ones too, to the nanosecond."""
    return time.clock_gettime((~pid << 3) | 2)  # The clock that clock_getcpuclockid(3) names.


def memory(pid):
    """Resident memory in bytes: `rss` all of it, `anonymous` without files and shared memory, `peak`."""
    fields = {"VmRSS": "rss", "RssAnon": "anonymous", "VmHWM": "peak"}
    with open("/proc/%d/status" % pid) as file:
        parts = (line.split() for line in file)
        return {fields[p[0][:-1]]: int(p[1]) * 1024 for p in parts if p and p[0][:-1] in fields}


def wakeups(pid):
    """How often the threads of a process have gone to sleep of their own accord."""
    total = 0
    for thread in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/status" % (pid, thread)) as file:
            total += sum(int(line.split()[1]) for line in file if line.startswith("voluntary_ctxt_switches"))
    return total


def output_of(command, **options):
    """The standard output of a command that succeeds; its error otherwise."""
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True, **options).stdout.strip()
    except FileNotFoundError:
        raise Failure("%s is not installed" % command[0])
    except subprocess.CalledProcessError as error:
        lines = (error.stderr or error.stdout or "").strip().splitlines()
        raise Failure("%s: %s" % (os.path.basename(command[0]), lines[-1] if lines else "failed"))


def note(text):
    """Progress, apart from the results."""
    print(text, file=sys.stderr, flush=True)
