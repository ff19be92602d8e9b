"""Hosts of this project and of Nova's own nova-compute under one control plane, doing the same in turn, and what it takes."""

import os
import re
import statistics
import time
import urllib.parse

import amqp

from cloud import StepFailure, eventually, expect
from hosts import Host
from steps import FLAVOR, IMAGE, NETWORK
from stock import LibvirtHost, StockHost

STARTS = 5
# As many as a host with two processors takes by default.
AT_ONCE = 8
# How often a server's status is asked for, in seconds.
INTERVAL = 0.05
TICKS = os.sysconf("SC_CLK_TCK")
BUILT = re.compile(r"Took ([0-9.]+) seconds to build instance|duration_ms=([0-9.]+) .*method=build_and_run_instance")


class Contender:
    """A kind of host, and what was measured of it. `network` is what its servers are attached to."""

    def __init__(self, label, host, network):
        self.label = label
        self.host = host
        self.network = network
        self.description = None
        self.figures = {}

    def processes(self):
        """The host's process and all that came from it, but for guests."""
        parents = {}
        for entry in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open("/proc/%s/stat" % entry) as file:
                    parents[int(entry)] = int(file.read().rpartition(")")[2].split()[1])
            except OSError:
                pass
        found = {self.host.process.pid}
        while more := {each for each, parent in parents.items() if parent in found} - found:
            found |= more
        return [each for each in found if "qemu-system" not in self.program(each)]

    @staticmethod
    def program(process):
        try:
            return os.readlink("/proc/%d/exe" % process)
        except OSError:
            return ""

    def memory(self):
        """Resident memory in MiB; of shared pages each process has its share."""
        total = 0
        for process in self.processes():
            with open("/proc/%d/smaps_rollup" % process) as file:
                total += int(re.search(r"^Pss: +(\d+) kB", file.read(), re.MULTILINE).group(1))
        return total / 1024

    def cpu(self):
        """Processor seconds so far, those of children that have ended included."""
        total = 0
        for process in self.processes():
            with open("/proc/%d/stat" % process) as file:
                total += sum(map(int, file.read().rpartition(")")[2].split()[11:15]))
        return total / TICKS

    def builds(self):
        """How long the host says that each build took, in seconds."""
        with open(self.host.log, errors="replace") as file:
            found = BUILT.finditer(file.read())
        return [float(each[1]) if each[1] else float(each[2]) / 1000 for each in found]


class SideBySide:
    def __init__(self, cloud, program, rounds):
        self.cloud = cloud
        self.rounds = rounds
        self.compute = cloud.connection.compute
        plane = cloud.plane
        self.contenders = [
            Contender("vmopsd, simulated", Host(plane, program, "simulated", "simulated"), NETWORK),
            Contender("nova-compute, fake driver", StockHost(plane, "fake"), NETWORK),
            Contender("vmopsd, QEMU", Host(plane, program, "qemu"), None),
            Contender("nova-compute, libvirt and QEMU", LibvirtHost(plane, "libvirt"), None),
        ]

    def steps(self):
        return [
            ("all hosts register", self.register),
            ("a server on each, for the images", self.warm_up),
            ("%d starts of each" % STARTS, self.starts),
            ("%d servers, one after the other" % self.rounds, self.one_by_one),
            ("%d servers at once" % AT_ONCE, self.at_once),
        ]

    def register(self):
        for each in self.contenders:
            each.host.start()

        def registered():
            for each in self.contenders:
                expect(each.host.is_running(), "%s ended: %s" % (each.label, each.host.last_error()))
            return all(self.cloud.is_up(each.host.name) for each in self.contenders)

        eventually("all hosts are services that are up", registered, 180)
        self.cloud.discover()
        # Libvirt's driver calls its node by the machine's name.
        eventually("all hosts are resource providers", lambda: len(self.cloud.providers()) == len(self.contenders), 120, 1)
        for each in self.contenders:
            name = each.host.name
            each.description = self.cloud.description("side-" + name, IMAGE, FLAVOR, each.network, name)

    # Servers

    def create(self, contender):
        return self.cloud.request(contender.description)

    def status(self, server):
        response = self.compute.get("/servers/" + server)
        if response.status_code == 404:
            return "DELETED"
        found = response.json()["server"]
        if found["status"] == "ERROR":
            raise StepFailure("a server is in ERROR: %s" % found.get("fault", {}).get("message"))
        return found["status"]

    def until(self, server, status):
        eventually("a server is %s" % status, lambda: self.status(server) == status, 300, INTERVAL)

    def delete(self, server):
        self.compute.delete("/servers/" + server)
        self.until(server, "DELETED")

    def warm_up(self):
        for each in self.contenders:
            server = self.create(each)
            self.until(server, "ACTIVE")
            self.delete(server)
            each.figures["memory, no server"] = each.memory()

    def one_by_one(self):
        """Each round begins with another host, so that what else the machine does meets all of them."""
        times = {each.label: ([], []) for each in self.contenders}
        before = {each.label: (each.cpu(), len(each.builds())) for each in self.contenders}
        spent = dict.fromkeys(before, 0)
        for round in range(self.rounds):
            turn = round % len(self.contenders)
            for each in self.contenders[turn:] + self.contenders[:turn]:
                used = each.cpu()
                began = time.monotonic()
                server = self.create(each)
                self.until(server, "ACTIVE")
                active = time.monotonic()
                self.delete(server)
                times[each.label][0].append(active - began)
                times[each.label][1].append(time.monotonic() - active)
                spent[each.label] += each.cpu() - used
        for each in self.contenders:
            boots, deletions = times[each.label]
            each.figures["request to ACTIVE"] = statistics.median(boots)
            each.figures["of it on the host"] = statistics.median(each.builds()[before[each.label][1] :])
            each.figures["deletion"] = statistics.median(deletions)
            each.figures["CPU for both"] = spent[each.label] / self.rounds

    def at_once(self):
        for each in self.contenders:
            began = time.monotonic()
            servers = [self.create(each) for _ in range(AT_ONCE)]
            for server in servers:
                self.until(server, "ACTIVE")
            each.figures["%d at once" % AT_ONCE] = time.monotonic() - began
            each.figures["memory, %d servers" % AT_ONCE] = each.memory()
            for server in servers:
                self.compute.delete("/servers/" + server)
            for server in servers:
                self.until(server, "DELETED")

    # Starts

    def starts(self):
        times = {each.label: [] for each in self.contenders}
        for round in range(STARTS):
            turn = round % len(self.contenders)
            for each in self.contenders[turn:] + self.contenders[:turn]:
                each.host.stop()
                eventually("nobody consumes", lambda: self.consumers(each) == 0, 60, 0.02)
                began = time.monotonic()
                each.host.start()
                eventually("%s serves" % each.label, lambda: self.consumers(each) > 0, 120, 0.005)
                times[each.label].append(time.monotonic() - began)
        for each in self.contenders:
            each.figures["start to serving"] = statistics.median(times[each.label])

    def consumers(self, contender):
        """How many consumers the queue of a host's requests has."""
        if not hasattr(self, "broker"):
            url = urllib.parse.urlsplit(self.cloud.plane.transport_url())
            self.broker = amqp.Connection(
                "%s:%d" % (url.hostname, url.port), url.username, url.password,
                virtual_host=urllib.parse.unquote(url.path[1:]) or "/", heartbeat=0,
            )  # fmt: skip
            self.broker.connect()
        channel = self.broker.channel()
        try:
            return channel.queue_declare("compute." + contender.host.name, passive=True).consumer_count
        except amqp.NotFound:
            return 0
        finally:
            if channel.is_open:
                channel.close()

    # What comes of it

    def report(self):
        """A table in Markdown."""
        units = {"memory": "MiB"}
        rows = list(self.contenders[0].figures)
        lines = ["| | " + " | ".join(each.label for each in self.contenders) + " |", "|---" + "|---:" * len(self.contenders) + "|"]
        for row in rows:
            unit = units.get(row.partition(",")[0], "s")
            cells = ["%.*f" % (1 if unit == "MiB" else 2, each.figures[row]) for each in self.contenders if row in each.figures]
            lines.append("| %s, %s | %s |" % (row, unit, " | ".join(cells)))
        return "\n".join(lines)
