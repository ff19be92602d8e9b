"""Services that are away, slow or failing while something is done; and many servers that come and go."""

import time

from cloud import eventually, expect
from steps import FLAVOR, IMAGE, NETWORK


class Outages:
    """Each leaves all services running, whatever becomes of it. Gates on the conductor: a request that the API has taken
    waits there while another service is stopped."""

    def __init__(self, cloud, control, many):
        self.cloud = cloud
        self.control = control
        self.many = many

    def create(self, name):
        """A server that is active; its identifier."""
        return self.cloud.json(
            "server", "create", "--image", IMAGE, "--flavor", FLAVOR, "--network", NETWORK, "--wait", name
        )["id"]

    def delete(self, name):
        self.cloud.client("server", "delete", "--wait", name)

    def is_clean(self, seconds=60):
        eventually("nothing is allocated: %s" % self.cloud.usages(), lambda: not any(self.cloud.usages().values()), seconds, 1)

    def conductor_away(self):
        self.create("outage-conductor")
        self.control("stop-service", "nova-conductor")
        try:
            # Straight to the host, which cannot save what comes of it.
            self.cloud.client("server", "stop", "outage-conductor")
            time.sleep(5)
            expect(self.cloud.server("outage-conductor").status == "ACTIVE", "somebody saved without a conductor")
        finally:
            self.control("start-service", "nova-conductor")
        self.cloud.await_status("outage-conductor", "SHUTOFF")
        self.delete("outage-conductor")

    def placement_away(self):
        self.create("outage-placement")
        self.control("stop-service", "placement")
        try:
            self.delete("outage-placement")
        finally:
            self.control("start-service", "placement")
        self.is_clean(120)

    def build_without(self, name, operation, service, until, image=IMAGE, host=None):
        """Has a host build a server while a service is stopped or stands still, until `until`, which gets its identifier, says
        that it is as it should be."""
        description = self.cloud.description(name, image, FLAVOR, NETWORK, host)
        # Not for long: the hosts cannot give a sign of life meanwhile.
        self.control("stop-service", "nova-conductor")
        try:
            server = self.cloud.request(description)
            self.control(operation, service)
        finally:
            self.control("start-service", "nova-conductor")
        try:
            until(server)
        finally:
            self.control({"pause-service": "resume-service", "stop-service": "start-service"}[operation], service)

    def fresh_image(self, name):
        """An image no host has yet."""
        self.cloud.client(
            "image", "create", "--disk-format", "raw", "--container-format", "bare", "--file", self.cloud.plane.path("tick.raw"), name
        )

    def glance_slow(self):
        self.fresh_image("slow-image")

        def stays(server):
            eventually("the host has it", lambda: self.cloud.host_of(server), 60)
            time.sleep(10)
            found = self.cloud.server(server)
            expect(found.status == "BUILD", "it is %s while glance stands still" % found.status)

        self.build_without("outage-slow", "pause-service", "glance", stays, "slow-image")
        self.cloud.await_status("outage-slow", "ACTIVE", 180)
        self.delete("outage-slow")
        self.is_clean()

    def glance_away(self):
        """One host after the other gives up."""
        self.fresh_image("absent-image")
        self.build_without(
            "outage-glance", "stop-service", "glance",
            lambda server: self.cloud.await_status(server, "ERROR", 300), "absent-image",
        )  # fmt: skip
        self.delete("outage-glance")
        self.is_clean()

    def neutron_away(self):
        def fails(server):
            eventually("its build has failed", lambda: "Error" in self.cloud.results(server, "create"), 300, 1)

        # One that names its host is not built by another one, for which the service might be back.
        self.build_without("outage-neutron", "stop-service", "neutron", fails, host="host-a")
        self.cloud.await_status("outage-neutron", "ERROR")
        self.delete("outage-neutron")
        self.is_clean()
        self.no_ports()

    def neutron_away_at_delete(self):
        """The server may stay, but not in a task; and deleting it again has to do."""
        server = self.create("outage-ports")
        self.control("stop-service", "neutron")
        try:
            # The client would first look for the server, which the API refuses without neutron.
            self.cloud.connection.compute.delete("/servers/" + server)
            eventually("its deletion has ended", lambda: self.cloud.results(server, "delete"), 300, 1)
        finally:
            self.control("start-service", "neutron")
        if found := self.cloud.server(server):
            expect(found.task_state is None, "it is still %s" % found.task_state)
            self.delete(server)
        self.is_clean()
        self.no_ports()

    def no_ports(self):
        def left():
            return [port for port in self.cloud.connection.network.ports() if port.device_id]

        eventually("no ports are left", lambda: not left(), 60, 1)

    def boots_and_deletes(self):
        """So many servers over all hosts, five at a time."""
        used = set()
        for round in range(self.many // 5):
            name = "many-%d" % round
            self.cloud.client(
                "server", "create", "--image", IMAGE, "--flavor", FLAVOR, "--network", NETWORK, "--min", "5", "--max", "5", name
            )
            names = ["%s-%d" % (name, i) for i in range(1, 6)]
            for each in names:
                used.add(self.cloud.await_status(each, "ACTIVE", 240).hypervisor_hostname)
            self.cloud.client("server", "delete", "--wait", *names)
        expect(len(used) == 2, "all were built on %s" % sorted(used))
        self.is_clean()
        self.no_ports()
