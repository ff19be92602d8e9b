"""Calls per second, latency and CPU per call: every server under the same load, in turn, round after round."""

import json
import os
import statistics
import subprocess
from dataclasses import dataclass

from .build import HERE
from .processes import Failure, memory, note, prepare_child

TOKEN = "@" * 12  # The load generator puts the instance number here, as twelve hexadecimal digits.
INSTANCE = {"uuid": "bbbbbbbb-0000-4000-8000-" + TOKEN, "name": "bench-" + TOKEN}
INSTANCES = 64


@dataclass
class Row:
    """One kind of call, and who is measured with it."""

    name: str
    title: str
    servers: tuple
    in_flight: tuple
    method: str = ""
    template: str = ""

    def request(self):
        if self.template:
            return ["--template", os.path.join(HERE, "requests", self.template)]
        return ["--method", self.method, "--args", json.dumps({"instance": INSTANCE})]


ROWS = [
    Row("read", "get_info", ("plain", "tuned", "split", "vmopsd", "native", "python"), (1, 64),
        method="get_info"),
    Row("read-3k", "get_info, 3 KB request", ("plain", "parse", "vmopsd", "native"), (64,),
        template="nova-3k.json"),
    Row("read-30k", "get_info, 30 KB request", ("plain", "parse", "vmopsd", "native"), (64,),
        template="nova-30k.json"),
    Row("durable", "power_on, journalled", ("plain", "vmopsd"), (1, 64), method="power_on"),
]


def load(setting, key, arguments):
    """One run of the load generator; its figures as a dictionary."""
    command = [setting.program("load"), "--url", setting.url, "--key", key, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=prepare_child)
    lines = done.stderr.strip().splitlines()
    if not done.stdout.startswith("{"):
        raise Failure("load at %s: %s" % (key, lines[-1] if lines else "status %d" % done.returncode))
    figures = json.loads(done.stdout)
    if done.returncode != 0:
        counted = ", ".join("%d %s" % (figures[k], k) for k in ("failures", "lost", "unexpected") if figures[k])
        raise Failure("load at %s: %s%s" % (key, counted, "; " + lines[0][:300] if lines else ""))
    return figures


def spawn_instances(setting, key, count):
    """Spawns the instances that the calls are about, by calls as well."""
    arguments = {"instance": dict(INSTANCE, memory_mb=64, vcpus=1, root_gb=1)}
    load(setting, key, ["--method", "spawn", "--args", json.dumps(arguments), "--count", str(count),
                        "--vary", str(count), "--in-flight", str(min(count, 16)), "--timeout", "60"])  # fmt: skip


def results_of(setting, key, arguments):
    """The results of the replies to some calls, unwrapped."""
    path = os.path.join(setting.directory, "replies.txt")
    load(setting, key, [*arguments, "--dump", path])
    with open(path) as file:
        return [json.loads(json.loads(line)["oslo.message"])["result"] for line in file]


def measure(setting, servers, rounds, seconds, only=None):
    """Runs all rows; {row/in_flight/server: [figures of each round]} and {the same: why there is none}."""
    measured, failed = {}, {}
    by_name = {server.name: server for server in servers}
    for number in range(rounds):
        note("round %d of %d" % (number + 1, rounds))
        for row in ROWS:
            if only and row.name not in only:
                continue
            present = [by_name[name] for name in row.servers if name in by_name]
            # A different one begins each round, so that none always follows the same neighbour.
            turn = number % len(present) if present else 0
            for in_flight in row.in_flight:
                for server in present[turn:] + present[:turn]:
                    cell = "%s/%d/%s" % (row.name, in_flight, server.name)
                    if cell in failed:
                        continue
                    try:
                        measured.setdefault(cell, []).append(measure_cell(setting, server, row, in_flight, seconds))
                    except Failure as failure:
                        failed[cell] = str(failure)
                        note("%s: %s" % (cell, failure))
    for cell in failed:
        measured.pop(cell, None)
    return measured, failed


def measure_cell(setting, server, row, in_flight, seconds):
    arguments = row.request() + ["--in-flight", str(in_flight), "--seconds", str(seconds), "--warmup", "0.3",
                                 "--vary", str(INSTANCES), "--watch", "server=%d" % server.process.pid]  # fmt: skip
    if setting.broker_pid:
        arguments += ["--watch", "broker=%d" % setting.broker_pid]
    figures = load(setting, server.key, arguments)
    figures["rss"] = memory(server.process.pid)["rss"]
    return figures


def value(figures, name):
    """`rate`, `p50_us`, …, or the CPU microseconds per call of one process as `cpu_us.server`."""
    first, _, second = name.partition(".")
    return figures[first][second] if second else figures[first]


def median(measured, cell, name):
    rounds = measured.get(cell)
    return statistics.median(value(figures, name) for figures in rounds) if rounds else None


def ratio(measured, cell, bases, name, best=max):
    """The median over the rounds of this cell's figure by that of the best base in the same round."""
    if not measured.get(cell) or not all(measured.get(base) for base in bases):
        return None
    rounds = zip(measured[cell], *(measured[base] for base in bases))
    return statistics.median(value(own, name) / best(value(base, name) for base in others) for own, *others in rounds)
