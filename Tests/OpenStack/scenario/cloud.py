"""The cloud as its users see it, through the `openstack` client, and as its services tell it, for checks."""

import json
import os
import shutil
import subprocess
import time

import bootstrap

CLIENT_SECONDS = 600


class StepFailure(Exception):
    """Why a step did not do what it should; one line."""


def expect(condition, message):
    if not condition:
        raise StepFailure(message)


def eventually(what, condition, seconds, interval=0.5):
    """Waits until a condition gives something; that. Services that are away are waited for too."""
    deadline = time.monotonic() + seconds
    problem = None
    while True:
        try:
            value = condition()
            if value:
                return value
            problem = None
        except StepFailure:
            raise
        except Exception as error:
            problem = error
        if time.monotonic() > deadline:
            raise StepFailure("not within %d s: %s%s" % (seconds, what, " (%s)" % problem if problem else ""))
        time.sleep(interval)


class Cloud:
    def __init__(self, plane):
        self.plane = plane
        self.environment = dict(os.environ, **plane.client_environment(), PYTHONWARNINGS="ignore")
        self.program = shutil.which("openstack", path="/usr/bin")
        self.connection = bootstrap.connect(plane)
        self.log = open(plane.path("log", "client.log"), "a", buffering=1)

    # The client

    def client(self, *arguments, fails=False):
        """Runs `openstack` with arguments; its output. It has to succeed, or to fail where that is wanted."""
        self.log.write("\n$ openstack %s\n" % " ".join(arguments))
        # Its own process group, so that a Ctrl-C is ours alone; it ends with us all the same.
        try:
            result = subprocess.run(
                [self.program, *arguments], env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, text=True, errors="replace", timeout=CLIENT_SECONDS,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise StepFailure("openstack %s did not end in %d s" % (" ".join(arguments[:3]), CLIENT_SECONDS))
        self.log.write(result.stdout + result.stderr)
        if fails == (result.returncode == 0):
            lines = (result.stderr.strip() or result.stdout.strip() or "no output").splitlines()
            raise StepFailure("openstack %s exited with %d: %s" % (" ".join(arguments[:3]), result.returncode, lines[-1][:300]))
        return result.stdout

    def json(self, *arguments):
        output = self.client(*arguments, "-f", "json")
        # With --wait, signs of life come first.
        starts = [at for at in (output.find("{"), output.find("[")) if at >= 0]
        if not starts:
            raise StepFailure("openstack %s printed no JSON" % " ".join(arguments[:3]))
        return json.loads(output[min(starts) :])

    # Servers without the client, whose every call takes seconds

    def description(self, name, image, flavor, network=None, host=None):
        """What the API wants to know of a server."""
        connection = self.connection
        networks = [{"uuid": connection.network.find_network(network).id}] if network else "none"
        found = dict(
            name=name, imageRef=connection.image.find_image(image).id, flavorRef=connection.compute.find_flavor(flavor).id,
            networks=networks,
        )  # fmt: skip
        return dict(found, host=host) if host else found

    def request(self, description):
        """Asks for a server; its identifier."""
        response = self.connection.compute.post("/servers", json={"server": description})
        expect(response.status_code == 202, "the API refused a server: %s" % response.text[:200])
        return response.json()["server"]["id"]

    # What the services say

    def server(self, name):
        """A server's record, or None."""
        found = self.connection.compute.find_server(name, ignore_missing=True)
        return found and self.connection.compute.get_server(found.id)

    def status(self, name):
        found = self.server(name)
        return found.status if found else "DELETED"

    def host_of(self, server):
        return self.connection.compute.get_server(server).hypervisor_hostname

    def await_status(self, name, status, seconds=120):
        """Waits for a server to reach a status, at rest. One that gets into ERROR instead will not."""

        def reached():
            found = self.server(name)
            expect(found is not None, "%s is gone" % name)
            if found.status == status and found.task_state is None:
                return found
            fault = (found.fault or {}).get("message", "")
            expect(found.status != "ERROR" or status == "ERROR", "%s is in ERROR: %s" % (name, fault))
            return None

        try:
            return eventually("%s is %s" % (name, status), reached, seconds)
        except StepFailure as failure:
            found = self.server(name)
            detail = "; it is %s, task %s, %s" % (found.status, found.task_state, (found.fault or {}).get("message", "no fault")) if found else ""
            raise StepFailure(str(failure) + detail)

    def actions(self, server):
        """The names of what was asked of a server."""
        found = self.compute("/servers/%s/os-instance-actions" % server)["instanceActions"]
        return [each["action"] for each in found]

    def results(self, server, action):
        """How the parts of an action ended that have: "Success" or "Error" each. Unlike a server's state, which comes with its
        security groups, this can be asked for while neutron is away."""
        path = "/servers/%s/os-instance-actions" % server
        requests = [each["request_id"] for each in self.compute(path)["instanceActions"] if each["action"] == action]
        events = [event for each in requests for event in self.compute(path + "/" + each)["instanceAction"]["events"]]
        return [each["result"] for each in events if each["event"].startswith("compute_") and each["result"]]

    def compute(self, path):
        response = self.connection.compute.get(path)
        expect(response.status_code == 200, "%s: %d %s" % (path, response.status_code, response.text[:200]))
        return response.json()

    def ports(self, server):
        return list(self.connection.network.ports(device_id=server))

    def console(self, server):
        """Everything a server's guest has printed, by the client."""
        return self.client("console", "log", "show", server)

    # Placement, for which this client has no commands

    def placement(self, path):
        session = self.connection.session
        return session.get(
            path, endpoint_filter={"service_type": "placement", "interface": "public"},
            headers={"OpenStack-API-Version": "placement 1.36"},
        ).json()  # fmt: skip

    def providers(self):
        """Names of resource providers, with their uuids."""
        return {each["name"]: each["uuid"] for each in self.placement("/resource_providers")["resource_providers"]}

    def usages(self):
        """What is allocated on each host, by its name; nothing that is zero."""
        found = {}
        for name, uuid in self.providers().items():
            usages = self.placement("/resource_providers/%s/usages" % uuid)["usages"]
            found[name] = {kind: amount for kind, amount in usages.items() if amount}
        return found

    def traits(self, host):
        return self.placement("/resource_providers/%s/traits" % self.providers()[host])["traits"]

    def allocations(self, consumer):
        """The hosts on which a consumer has something, by name."""
        names = {uuid: name for name, uuid in self.providers().items()}
        found = self.placement("/allocations/%s" % consumer)["allocations"]
        return {names[uuid]: each["resources"] for uuid, each in found.items()}

    # What an operator does

    def discover(self):
        """Makes new hosts known to the cells."""
        bootstrap.run(
            self.plane, "nova", "nova-manage", "--config-file", self.plane.path("nova", "nova.conf"), "cell_v2", "discover_hosts"
        )

    def forget_hosts(self, names):
        """Takes out hosts that are gone for good, with the servers on them; others are left alone."""
        compute = self.connection.compute
        gone = [each for each in compute.services(binary="nova-compute") if each.host in names]
        eventually("hosts without daemons are down", lambda: not any(self.is_up(each.host) for each in gone), 90, 1)

        def servers():
            return [each for each in compute.servers() if each.hypervisor_hostname in names]

        for server in servers():
            compute.delete_server(server, ignore_missing=True)
        eventually("servers are deleted", lambda: not servers(), 60, 1)
        for service in gone:
            compute.delete_service(service)

    def is_up(self, host):
        services = self.connection.compute.services(binary="nova-compute", host=host)
        return any(each.state == "up" for each in services)

    @staticmethod
    def exists(path):
        return os.path.exists(path)
