"""Starts a control plane and two hosts, does every step with the `openstack` client, prints a table, stops everything.
With --side-by-side: hosts of this project beside hosts of nova-compute, and what the same takes with each.

A step that fails is noted and the next is tried, so that one run tells all there is to tell.
"""

import argparse
import os
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path[:0] = [HERE, os.path.join(HERE, "..", "plane")]

from cloud import Cloud, StepFailure  # noqa: E402
from common import Failure  # noqa: E402
from hosts import Host, end_machines, forget  # noqa: E402
from outages import Outages  # noqa: E402
from settings import Plane  # noqa: E402
from side_by_side import SideBySide  # noqa: E402
from steps import Life  # noqa: E402

CONTROL = os.path.join(HERE, "..", "control-plane")


def steps_of(life, outages, many):
    """Names and what is done, in order; the names are what --only selects by."""
    return [
        ("two hosts register", life.hosts_register),
        ("resource providers, inventories, traits", life.providers),
        ("hypervisor show", life.hypervisor_show),
        ("hypervisor stats show", life.hypervisor_stats),
        ("compute service set --disable", life.service_disable),
        ("compute service set --enable", life.service_enable),
        ("server create to ACTIVE", life.create),
        ("its port from neutron is bound, address shown", life.port_bound),
        ("its allocation in placement", life.allocated),
        ("console log show", life.console),
        ("server stop", life.stop),
        ("server start", life.start),
        ("server reboot --soft", life.reboot_soft),
        ("server reboot --hard", life.reboot_hard),
        ("server pause", life.pause),
        ("server unpause", life.unpause),
        ("server suspend", life.suspend),
        ("server resume", life.resume),
        ("server image create", life.snapshot),
        ("boot from the snapshot, delete", life.boot_snapshot),
        ("server rebuild", life.rebuild),
        ("server migrate --live-migration, console whole", life.migrate),
        ("after it: port bound to the destination", life.migration_port),
        ("after it: allocation on the destination alone", life.allocated),
        ("live migration back", life.migrate),
        ("server resize to another host, confirm", life.resize_confirm),
        ("server resize, revert", life.resize_revert),
        ("server add network, remove port", life.further_port),
        ("server evacuate after the host was killed", life.evacuate),
        ("the killed host returns and cleans up", life.evacuated_host_returns),
        ("server delete; ports and allocations gone", life.delete),
        ("%d boots and deletes; nothing allocated" % many, outages.boots_and_deletes),
        ("conductor away during a stop", outages.conductor_away),
        ("placement away during a delete", outages.placement_away),
        ("glance slow during a boot", outages.glance_slow),
        ("glance away during a boot", outages.glance_away),
        ("neutron away during a boot", outages.neutron_away),
        ("neutron away during a delete", outages.neutron_away_at_delete),
        ("a host is taken out", life.take_out),
        ("and added again", life.add_again),
    ]


class Table:
    def __init__(self):
        self.rows = []

    def do(self, name, function):
        began = time.monotonic()
        problem = None
        try:
            function()
        except StepFailure as failure:
            problem = str(failure)
        except Failure as failure:
            problem = str(failure)
        except Exception as error:
            problem = "%s: %s" % (type(error).__name__, error)
        seconds = time.monotonic() - began
        self.rows.append((name, problem is None, seconds))
        print("%-4s  %6.1f s  %s" % ("ok" if problem is None else "FAIL", seconds, name), flush=True)
        if problem:
            print("                 %s" % " ".join(problem.split())[:600], flush=True)
        return problem is None

    def show(self):
        passed = sum(ok for _, ok, _ in self.rows)
        print("\n%-58s %-6s %8s" % ("Step", "", "Seconds"))
        for name, ok, seconds in self.rows:
            print("%-58s %-6s %8.1f" % (name, "ok" if ok else "FAILED", seconds))
        print("\n%d of %d steps passed" % (passed, len(self.rows)))
        return passed == len(self.rows)


class Trial:
    def __init__(self, arguments):
        self.arguments = arguments
        self.plane = Plane(arguments.directory)
        self.hosts = []

    def control(self, *arguments):
        """A command of the control plane's script, with its directory after the first word."""
        command = [CONTROL, arguments[0], self.plane.directory, *arguments[1:]]
        # In a session of its own: a Ctrl-C is for this process, which then stops everything.
        result = subprocess.run(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True)
        if result.returncode != 0:
            raise Failure((result.stderr.strip() or "%s failed" % arguments[0]).splitlines()[0])

    def run(self):
        table = Table()
        end_machines(self.plane.path("hosts"))
        forget(self.plane.path("hosts"))
        if not table.do("control plane", self.start_control_plane):
            return False
        self.plane = Plane(self.arguments.directory)
        return self.compare(table) if self.arguments.side_by_side else self.live(table)

    def live(self, table):
        """One server's life and many others', on two hosts."""
        for name in ("host-a", "host-b"):
            self.control("agent", name, "linuxbridge")
            self.hosts.append(Host(self.plane, self.arguments.program, name))
        cloud = Cloud(self.plane)
        if self.arguments.as_it_is:
            cloud.forget_hosts([each.name for each in self.hosts])
        life = Life(cloud, self.hosts, self.control)
        for name, function in steps_of(life, Outages(cloud, self.control, self.arguments.many), self.arguments.many):
            if self.is_wanted(name):
                table.do(name, function)
        return table.show()

    def compare(self, table):
        comparison = SideBySide(Cloud(self.plane), self.arguments.program, self.arguments.rounds)
        self.hosts = [each.host for each in comparison.contenders]
        for host in self.hosts:
            self.control("agent", host.name, "linuxbridge")
        if not all(table.do(name, function) for name, function in comparison.steps()):
            return False
        print("\n" + comparison.report())
        return True

    def start_control_plane(self):
        """As new: what an earlier run has left in the databases is not there any more."""
        if self.arguments.as_it_is:
            self.control("start")
        else:
            self.control("reset")
            self.control("start", "--parent", str(os.getpid()))

    def is_wanted(self, name):
        always = name.startswith(("two hosts", "server create"))
        return always or not self.arguments.only or any(word in name for word in self.arguments.only)

    def finish(self):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for host in self.hosts:
            host.end()
        end_machines(self.plane.path("hosts"))
        if not self.arguments.as_it_is:
            self.control("stop")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory")
    parser.add_argument("program", help="vmopsd")
    parser.add_argument("--many", type=int, default=50, help="boots and deletes in a row")
    parser.add_argument("--only", action="append", help="only steps whose name has this text, beside those that they need")
    parser.add_argument("--side-by-side", action="store_true", help="compare with hosts of nova-compute instead")
    parser.add_argument("--rounds", type=int, default=20, help="servers on each host for --side-by-side")
    parser.add_argument("--as-it-is", action="store_true", help="take a control plane that runs, and leave it running")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGHUP, lambda *_: sys.exit(129))
    trial = Trial(arguments)
    status = 1
    try:
        status = 0 if trial.run() else 1
    except Failure as failure:
        print("openstack: %s" % failure, file=sys.stderr)
    except KeyboardInterrupt:
        status = 130
    finally:
        trial.finish()
    sys.exit(status)


if __name__ == "__main__":
    main()
