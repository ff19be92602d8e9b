"""What a control plane is made of: its directory, ports and passwords, chosen once and kept in DIR/control-plane.json."""

import json
import os
import secrets

from common import Failure, account, broker, free_ports, write

# The services that have an API.
HTTP_SERVICES = ("keystone", "placement", "glance", "neutron", "nova-api")
# The user of each package.
USERS = dict(
    mariadb="mysql", keystone="keystone", placement="placement", glance="glance", neutron="neutron", nova="nova", agents="neutron"
)
REGION = "RegionOne"
PHYSICAL_NETWORK = "physnet1"


class Plane:
    """The control plane of one directory."""

    def __init__(self, directory):
        self.directory = os.path.abspath(directory)
        self.settings = {}
        try:
            with open(self.path("control-plane.json")) as file:
                self.settings = json.load(file)
        except FileNotFoundError:
            pass
        except ValueError:
            raise Failure("%s is damaged: remove the directory" % self.path("control-plane.json"))

    def path(self, *parts):
        return os.path.join(self.directory, *parts)

    def require(self):
        if not self.settings:
            raise Failure("there is no control plane in %s: start one with: control-plane start %s" % ((self.directory,) * 2))

    def prepare(self):
        """Chooses ports and passwords the first time."""
        os.makedirs(self.directory, exist_ok=True)
        os.chmod(self.directory, 0o711)
        if not self.settings:
            ports = dict(zip(HTTP_SERVICES, free_ports(len(HTTP_SERVICES))))
            self.settings = dict(ports=ports, password=secrets.token_hex(12), agents={}, done=[])
            self.save()
        os.makedirs(self.path("log"), exist_ok=True)
        os.chmod(self.path("log"), 0o755)

    def save(self):
        write(self.path("control-plane.json"), json.dumps(self.settings, indent=1))

    # Steps of the set-up that are done once

    def is_done(self, step):
        return step in self.settings["done"]

    def mark_done(self, step):
        self.settings["done"].append(step)
        self.save()

    # What goes into files

    def port(self, service):
        return self.settings["ports"][service]

    def endpoint(self, service):
        suffix = {"keystone": "/v3", "nova-api": "/v2.1"}.get(service, "")
        return "http://127.0.0.1:%d%s" % (self.port(service), suffix)

    @property
    def password(self):
        return self.settings["password"]

    def database(self, name):
        user = name.partition("_")[0]
        socket = self.path("mariadb", "mysql.sock")
        return "mysql+pymysql://%s:%s@localhost/%s?unix_socket=%s" % (user, self.password, name, socket)

    def transport_url(self):
        return broker.Node(self.path("broker")).url()

    # Directories of services: each one's own, Nova's three share one

    @staticmethod
    def package(service):
        return "nova" if service.startswith("nova-") else service

    def directory_of(self, service):
        return self.path(self.package(service))

    def owner(self, service):
        """The (uid, gid) a service runs as, or None: whoever runs this."""
        return account(USERS[self.package(service)], self.directory)

    def make_directory(self, service, *parts):
        """A directory that only the service gets into."""
        owner = self.owner(service)
        name = os.path.join(self.directory_of(service), *parts)
        os.makedirs(name, exist_ok=True)
        os.chmod(name, 0o700)
        if owner:
            os.chown(name, *owner)
        return name

    def write(self, service, name, text):
        """A file in a service's directory, that only the service reads."""
        self.make_directory(service)
        path = os.path.join(self.directory_of(service), name)
        write(path, text, 0o600, self.owner(service))
        return path

    def client_environment(self):
        return {
            "OS_AUTH_URL": self.endpoint("keystone"),
            "OS_USERNAME": "admin",
            "OS_PASSWORD": self.password,
            "OS_PROJECT_NAME": "admin",
            "OS_USER_DOMAIN_NAME": "Default",
            "OS_PROJECT_DOMAIN_NAME": "Default",
            "OS_REGION_NAME": REGION,
            "OS_IDENTITY_API_VERSION": "3",
            "OS_IMAGE_API_VERSION": "2",
            "OS_COMPUTE_API_VERSION": "2.90",
        }
