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

    def create(self, name, image=IMAGE, wait=True):
        self.cloud.client(
            "server", "create", "--image", image, "--flavor", FLAVOR, "--network", NETWORK, *(["--wait"] if wait else []), name
        )

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

    def build_without(self, name, operation, service, until, image=IMAGE):
        """Has a host build a server while a service is stopped or stands still; `until` is what has to be true meanwhile."""
        self.control("stop-service", "nova-conductor")
        try:
            self.create(name, image, wait=False)
            self.control(operation, service)
        finally:
            self.control("start-service", "nova-conductor")
        try:
            until()
        finally:
            self.control({"pause-service": "resume-service", "stop-service": "start-service"}[operation], service)

    def fresh_image(self, name):
        """An image no host has yet."""
        self.cloud.client(
            "image", "create", "--disk-format", "raw", "--container-format", "bare", "--file", self.cloud.plane.path("tick.raw"), name
        )

    def glance_slow(self):
        self.fresh_image("slow-image")

        def stays():
            eventually("the host has it", lambda: self.cloud.server("outage-slow").hypervisor_hostname, 60)
            time.sleep(10)
            found = self.cloud.server("outage-slow")
            expect(found.status == "BUILD", "it is %s while glance stands still" % found.status)

        self.build_without("outage-slow", "pause-service", "glance", stays, "slow-image")
        self.cloud.await_status("outage-slow", "ACTIVE", 180)
        self.delete("outage-slow")
        self.is_clean()

    def glance_away(self):
        self.fresh_image("absent-image")
        self.build_without(
            "outage-glance", "stop-service", "glance",
            lambda: self.cloud.await_status("outage-glance", "ERROR", 300), "absent-image",
        )  # fmt: skip
        self.delete("outage-glance")
        self.is_clean()

    def neutron_away(self):
        self.build_without(
            "outage-neutron", "stop-service", "neutron", lambda: self.cloud.await_status("outage-neutron", "ERROR", 300)
        )
        self.delete("outage-neutron")
        self.is_clean()
        left = [port for port in self.cloud.connection.network.ports() if port.device_id]
        expect(not left, "%d ports are left" % len(left))

    def neutron_away_at_delete(self):
        """The server may stay, but not in a task; and deleting it again has to do."""
        self.create("outage-ports")
        server = self.cloud.server("outage-ports").id
        self.control("stop-service", "neutron")
        try:
            self.cloud.client("server", "delete", "outage-ports")

            def rests():
                found = self.cloud.server(server)
                return found is None or found.task_state is None

            eventually("it is gone, or at rest", rests, 300, 1)
        finally:
            self.control("start-service", "neutron")
        if self.cloud.server(server) is not None:
            self.delete(server)
        self.is_clean()
        eventually("its ports are gone", lambda: not self.cloud.ports(server), 60, 1)

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
        left = [port for port in self.cloud.connection.network.ports() if port.device_id]
        expect(not left, "%d ports are left" % len(left))
