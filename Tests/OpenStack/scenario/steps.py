"""What a user and an operator do, step by step, each with what has to come of it."""

import re

from cloud import StepFailure, eventually, expect
from hosts import machines

NETWORK, IMAGE, FLAVOR = "private", "tick", "tiny"
# Of a guest's lines: "[0000000a] tick 9".
LINE = re.compile(r"^\[([0-9a-f]{8})\] (.*)$", re.MULTILINE)


class Life:
    """One server from its creation to its end, on two hosts."""

    def __init__(self, cloud, hosts, control):
        self.cloud = cloud
        self.control = control
        self.hosts = {each.name: each for each in hosts}
        self.server = None
        self.port = None
        self.is_evacuated = False

    @property
    def id(self):
        if self.server is None:
            raise StepFailure("there is no server: it was not created")
        return self.server

    def other(self, name):
        return next(each for each in self.hosts if each != name)

    # Hosts

    def hosts_register(self):
        for host in self.hosts.values():
            host.start()
        names = set(self.hosts)

        def registered():
            for host in self.hosts.values():
                expect(host.is_running(), "vmopsd of %s ended: %s" % (host.name, host.last_error()))
            return all(self.cloud.is_up(name) for name in names)

        eventually("both hosts are services that are up", registered, 120)
        self.cloud.discover()
        listed = self.cloud.json("hypervisor", "list")
        expect({each["Hypervisor Hostname"] for each in listed} == names, "hypervisor list has %s" % listed)

    def providers(self):
        def reported():
            return set(self.hosts) <= set(self.cloud.providers())

        eventually("both hosts are resource providers", reported, 60)
        for name, uuid in self.cloud.providers().items():
            inventories = self.cloud.placement("/resource_providers/%s/inventories" % uuid)["inventories"]
            expect({"VCPU", "MEMORY_MB", "DISK_GB"} <= set(inventories), "inventories of %s: %s" % (name, sorted(inventories)))
            expect(inventories["MEMORY_MB"]["reserved"] == 512, "reserved memory of %s: %s" % (name, inventories["MEMORY_MB"]))
            traits = self.cloud.traits(name)
            expect("COMPUTE_NODE" in traits, "traits of %s: %s" % (name, traits))
        expect(not any(self.cloud.usages().values()), "something is allocated: %s" % self.cloud.usages())

    def hypervisor_show(self):
        shown = self.cloud.json("hypervisor", "show", "host-a")
        expect(shown["state"] == "up" and shown["status"] == "enabled", "it shows %s" % shown)
        expect(shown["uptime"] and shown["load_average"], "the host's uptime is not in it: %s" % shown)

    def hypervisor_stats(self):
        # The API has statistics up to this version.
        shown = self.cloud.json("--os-compute-api-version", "2.87", "hypervisor", "stats", "show")
        expect(shown["count"] == 2 and shown["vcpus"] > 0 and shown["memory_mb"] > 0, "it shows %s" % shown)

    def service_disable(self):
        self.cloud.client("compute", "service", "set", "--disable", "--disable-reason", "trial", "host-b", "nova-compute")
        eventually("host-b has COMPUTE_STATUS_DISABLED", lambda: "COMPUTE_STATUS_DISABLED" in self.cloud.traits("host-b"), 30)

    def service_enable(self):
        self.cloud.client("compute", "service", "set", "--enable", "host-b", "nova-compute")
        eventually(
            "host-b has lost COMPUTE_STATUS_DISABLED", lambda: "COMPUTE_STATUS_DISABLED" not in self.cloud.traits("host-b"), 30
        )

    # The server

    def create(self):
        created = self.cloud.json(
            "server", "create", "--image", IMAGE, "--flavor", FLAVOR, "--network", NETWORK, "--wait", "web"
        )
        self.server = created["id"]
        expect(created["status"] == "ACTIVE", "it is %s" % created["status"])

    def port_bound(self):
        ports = self.cloud.ports(self.id)
        expect(len(ports) == 1, "it has %d ports" % len(ports))
        self.port = ports[0].id
        self.is_bound_to(self.cloud.host_of(self.id))
        addresses = self.cloud.json("server", "show", self.id)["addresses"]
        expect(ports[0].fixed_ips[0]["ip_address"] in str(addresses), "server show has the addresses %s" % addresses)

    def is_bound_to(self, host):
        expect(self.port is not None, "there is no port")
        port = self.cloud.connection.network.get_port(self.port)
        expect(port.binding_host_id == host, "its port is bound to %r instead of %s" % (port.binding_host_id, host))
        expect(port.binding_vif_type == "bridge", "its port's vif_type is %s" % port.binding_vif_type)

    def allocated(self):
        host = self.cloud.host_of(self.id)
        found = self.cloud.allocations(self.id)
        expect(list(found) == [host], "it has allocations on %s, and runs on %s" % (sorted(found), host))
        expect(found[host].get("MEMORY_MB") == 64 and found[host].get("VCPU") == 1, "allocations: %s" % found)

    def console(self):
        text = eventually("the guest is ready", lambda: self.guest_lines("ready") and self.cloud.console(self.id), 60, 1)
        expect("tickguest" in text and "ready" in text, "console log show has %r" % text[:200])

    def guest_lines(self, text):
        log = self.cloud.connection.compute.get_server_console_output(self.id).get("output") or ""
        return [line for _, line in LINE.findall(log) if line.startswith(text)]

    def operation(self, command, status, boots=False):
        """One that ends in a status; a guest that boots anew says so once more."""
        before = len(self.guest_lines("ready"))
        self.cloud.client(*command, self.id)
        self.cloud.await_status(self.id, status)
        if boots:
            eventually("the guest has booted again", lambda: len(self.guest_lines("ready")) == before + 1, 60, 1)

    def stop(self):
        self.operation(["server", "stop"], "SHUTOFF")

    def start(self):
        self.operation(["server", "start"], "ACTIVE", boots=True)

    def reboot_soft(self):
        self.operation(["server", "reboot", "--soft", "--wait"], "ACTIVE", boots=True)

    def reboot_hard(self):
        self.operation(["server", "reboot", "--hard", "--wait"], "ACTIVE", boots=True)

    def pause(self):
        self.operation(["server", "pause"], "PAUSED")

    def unpause(self):
        self.operation(["server", "unpause"], "ACTIVE")

    def suspend(self):
        self.operation(["server", "suspend"], "SUSPENDED")

    def resume(self):
        self.operation(["server", "resume"], "ACTIVE")
        count = len(self.guest_lines("tick "))
        eventually("the guest goes on", lambda: len(self.guest_lines("tick ")) > count, 30, 1)

    def snapshot(self):
        self.cloud.client("server", "image", "create", "--name", "snapshot", "--wait", self.id)
        found = self.cloud.json("image", "show", "snapshot")
        expect(found["status"] == "active" and found["size"] > 0, "the image is %s, %s bytes" % (found["status"], found["size"]))
        self.cloud.await_status(self.id, "ACTIVE")

    def boot_snapshot(self):
        self.cloud.client("server", "create", "--image", "snapshot", "--flavor", FLAVOR, "--network", NETWORK, "--wait", "copy")
        found = self.cloud.await_status("copy", "ACTIVE")

        def ready():
            return "ready" in (self.cloud.connection.compute.get_server_console_output(found.id).get("output") or "")

        eventually("the copy's guest is ready", ready, 60, 1)
        self.cloud.client("server", "delete", "--wait", "copy")
        expect(self.cloud.allocations(found.id) == {}, "the copy's allocations are still there")

    def rebuild(self):
        before = [port.id for port in self.cloud.ports(self.id)]
        self.operation(["server", "rebuild", "--image", IMAGE, "--wait"], "ACTIVE", boots=True)
        self.is_bound_to(self.cloud.host_of(self.id))
        after = [port.id for port in self.cloud.ports(self.id)]
        expect(before == after, "its ports were %s and are %s" % (before, after))

    def migrate(self):
        source = self.cloud.host_of(self.id)
        destination = self.other(source)
        before = self.cloud.console(self.id)
        self.cloud.client("server", "migrate", "--live-migration", "--host", destination, "--wait", self.id)
        self.cloud.await_status(self.id, "ACTIVE")
        expect(self.cloud.host_of(self.id) == destination, "it is on %s" % self.cloud.host_of(self.id))
        count = len(self.guest_lines("tick "))
        eventually("the guest goes on", lambda: len(self.guest_lines("tick ")) > count, 30, 1)
        after = self.cloud.console(self.id)
        expect(after.startswith(before.rstrip()), "the console's log lost what was on it before")
        numbers = [int(number, 16) for number, _ in LINE.findall(after)]
        jumps = [(a, b) for a, b in zip(numbers, numbers[1:]) if b not in (a + 1, 0)]
        expect(not jumps, "the console's log has gaps: %s" % jumps[:3])
        expect(machines(self.hosts[source].state_path) == [], "%s still has a machine" % source)

    def resize(self, flavor):
        """To another flavor, which the scheduler does on another host; the guest boots there from the disks it had."""
        source, before = self.cloud.host_of(self.id), len(self.guest_lines("ready"))
        self.cloud.client("server", "resize", "--flavor", flavor, "--wait", self.id)
        found = self.cloud.await_status(self.id, "VERIFY_RESIZE")
        expect(found.flavor["original_name"] == flavor, "its flavor is %s" % found.flavor["original_name"])
        eventually("the guest has booted again", lambda: len(self.guest_lines("ready")) == before + 1, 60, 1)
        return source

    def rests_on(self, host, memory):
        self.cloud.await_status(self.id, "ACTIVE")
        expect(self.cloud.host_of(self.id) == host, "it is on %s" % self.cloud.host_of(self.id))
        self.is_bound_to(host)

        def allocated():
            found = self.cloud.allocations(self.id)
            return list(found) == [host] and found[host]["MEMORY_MB"] == memory

        eventually("it has %d MiB of %s, and nothing else" % (memory, host), allocated, 60)
        eventually("nothing else is allocated", lambda: sum(map(bool, self.cloud.usages().values())) == 1, 60)

    def resize_confirm(self):
        self.resize("small")
        destination = self.cloud.host_of(self.id)
        self.cloud.client("server", "resize", "confirm", self.id)
        self.rests_on(destination, 128)
        left = machines(self.hosts[self.other(destination)].state_path)
        expect(left == [], "the source still has a machine")

    def resize_revert(self):
        source = self.resize(FLAVOR)
        self.cloud.client("server", "resize", "revert", self.id)
        self.rests_on(source, 128)

    def further_port(self):
        self.cloud.client("server", "add", "network", self.id, NETWORK)
        ports = eventually("it has two ports", lambda: len(found := self.cloud.ports(self.id)) == 2 and found, 60, 1)
        added = next(each for each in ports if each.id != self.port)
        # A running guest has to let go of it, which this one never learned.
        self.stop()
        self.cloud.client("server", "remove", "port", self.id, added.id)
        eventually("it has its own port alone", lambda: [each.id for each in self.cloud.ports(self.id)] == [self.port], 90, 1)
        self.start()

    def migration_port(self):
        self.is_bound_to(self.cloud.host_of(self.id))

    def evacuate(self):
        source = self.cloud.host_of(self.id)
        self.hosts[source].stop(crash=True)
        eventually("%s is down" % source, lambda: not self.cloud.is_up(source), 90, 1)
        # The client of Debian 12 sends the request, and stumbles over the answer.
        try:
            self.cloud.client("server", "evacuate", self.id)
        except StepFailure as failure:
            expect("to_dict" in str(failure), str(failure))
        expect("evacuate" in self.cloud.actions(self.id), "the API has not taken the request")
        self.cloud.await_status(self.id, "ACTIVE", 300)
        expect(self.cloud.host_of(self.id) == self.other(source), "it is on %s" % self.cloud.host_of(self.id))
        self.is_evacuated = True
        eventually("the guest is ready", lambda: self.guest_lines("ready"), 60, 1)

    def evacuated_host_returns(self):
        for host in self.hosts.values():
            if not host.is_running():
                host.start()
        eventually("the host is up again", lambda: all(self.cloud.is_up(name) for name in self.hosts), 90)
        expect(self.is_evacuated, "nothing was evacuated from it")
        here = self.cloud.host_of(self.id)
        eventually("nothing is allocated on the old host", lambda: list(self.cloud.allocations(self.id)) == [here], 60)
        gone = self.hosts[self.other(here)].state_path + "/instances/" + self.id
        eventually("the old host has nothing of the server", lambda: not self.cloud.exists(gone), 60)

    def delete(self):
        server, ports = self.id, self.cloud.ports(self.id)
        self.cloud.client("server", "delete", "--wait", server)
        expect(self.cloud.server(server) is None, "it is still there")
        self.server = None
        expect(self.cloud.allocations(server) == {}, "its allocations are still there")
        expect(ports and not self.cloud.ports(server), "it had %d ports, now %d" % (len(ports), len(self.cloud.ports(server))))

    # A host is taken out, and added again

    def take_out(self):
        """In the order in which docs/openstack.md says it; the host has no servers."""
        self.cloud.client("compute", "service", "set", "--disable", "host-b", "nova-compute")
        expect(self.cloud.json("server", "list", "--all-projects", "--host", "host-b") == [], "host-b has servers")
        self.hosts["host-b"].stop()
        listed = self.cloud.json("compute", "service", "list", "--service", "nova-compute", "--host", "host-b")
        self.cloud.client("compute", "service", "delete", str(listed[0]["ID"]))
        self.control("agent", "host-b", "none")
        for agent in self.cloud.json("network", "agent", "list", "--host", "host-b"):
            self.cloud.client("network", "agent", "delete", agent["ID"])
        names = {each["Hypervisor Hostname"] for each in self.cloud.json("hypervisor", "list")}
        expect(names == {"host-a"}, "hypervisor list has %s" % sorted(names))
        expect("host-b" not in self.cloud.providers(), "it is still a resource provider")

    def add_again(self):
        self.control("agent", "host-b", "linuxbridge")
        self.hosts["host-b"].start()
        eventually("it is a service that is up", lambda: self.cloud.is_up("host-b"), 90)
        self.cloud.discover()
        names = {each["Hypervisor Hostname"] for each in self.cloud.json("hypervisor", "list")}
        expect(names == {"host-a", "host-b"}, "hypervisor list has %s" % sorted(names))
        eventually("it is a resource provider", lambda: "host-b" in self.cloud.providers(), 60)
        eventually("its agent is alive", lambda: list(self.cloud.connection.network.agents(host="host-b", alive=True)), 60, 1)
        self.cloud.client(
            "server", "create", "--image", IMAGE, "--flavor", FLAVOR, "--network", NETWORK, "--host", "host-b", "--wait", "again"
        )
        expect(self.cloud.host_of(self.cloud.server("again").id) == "host-b", "it is on another host")
        self.cloud.client("server", "delete", "--wait", "again")
