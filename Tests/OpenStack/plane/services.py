"""The services: how each is started, and when it is ready."""

import os
import shutil
import socket
import urllib.error
import urllib.request

from common import HERE, Failure

# In the order they are started; they are stopped in the opposite one.
SERVICES = "mariadb keystone placement glance neutron agents nova-conductor nova-scheduler nova-api".split()
# What the set-up of networks and images needs, without Nova.
WITHOUT_NOVA = SERVICES[: SERVICES.index("nova-conductor")]


def path_of(program):
    found = shutil.which(program, path="/usr/bin:/usr/sbin:/bin:/sbin")
    if not found:
        raise Failure("%s is not installed: run Tests/OpenStack/install" % program)
    return found


def uwsgi(plane, service, script, processes, threads):
    """A WSGI script of a package under uWSGI, with nothing that the system's own configuration says. It serves one request
    per connection and has to say so, and has to read a request's body even where the script does not: clients would else
    find connections reset."""
    return [
        path_of("uwsgi_python3"), "--master", "--no-orphans", "--die-on-term", "--lazy-apps", "--need-app",
        "--processes", str(processes), "--threads", str(threads), "--enable-threads", "--thunder-lock", "--disable-logging",
        "--http-socket", "127.0.0.1:%d" % plane.port(service), "--wsgi-file", path_of(script), "--buffer-size", "65535",
        "--post-buffering", "65536", "--add-header", "Connection: close", "--procname-prefix", service + "-",
    ]  # fmt: skip


def environment(plane, service):
    """All that a service, or one of its tools, finds in its environment."""
    directory = plane.directory_of(service)
    return {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": directory,
        "TMPDIR": directory,
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "OS_KEYSTONE_CONFIG_FILES": "keystone.conf",
        "OS_KEYSTONE_CONFIG_DIR": directory,
        "OS_PLACEMENT_CONFIG_DIR": directory,
        "OS_NOVA_CONFIG_DIR": directory,
    }


class Service:
    """How one service is started. Its output is in DIR/log/NAME.log."""

    def __init__(self, plane, name):
        if name not in SERVICES:
            raise Failure("there is no service %s; there are: %s" % (name, " ".join(SERVICES)))
        self.plane = plane
        self.name = name
        self.log = plane.path("log", name + ".log")

    def command(self):
        plane, name = self.plane, self.name
        package = plane.package(name)
        configuration = plane.path(package, package + ".conf")
        if name == "mariadb":
            return [path_of("mariadbd"), "--defaults-file=" + configuration]
        if name == "keystone":
            return uwsgi(plane, name, "keystone-wsgi-public", 1, 4)
        if name == "placement":
            return uwsgi(plane, name, "placement-api", 1, 4)
        if name == "nova-api":
            # It schedules greenlets by itself, for which a thread has to be alone in its process.
            return uwsgi(plane, name, "nova-api-wsgi", 2, 1)
        if name == "glance":
            return [path_of("glance-api"), "--config-file", configuration]
        if name == "neutron":
            return [path_of("neutron-server"), "--config-file", configuration]
        if name == "agents":
            script = os.path.join(HERE, "agents.py")
            return [path_of("python3"), script, plane.path("neutron", "neutron.conf"), plane.path("agents", "hosts.json")]
        return [path_of(name), "--config-file", configuration]

    def is_ready(self):
        plane, name = self.plane, self.name
        if name == "mariadb":
            return answers_on_socket(plane.path("mariadb", "mysql.sock"))
        if name in plane.settings["ports"]:
            return answers_http("http://127.0.0.1:%d/" % plane.port(name))
        return True


def answers_on_socket(name):
    """A server that has begun to serve greets; while it reads its init file there is no socket yet."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(name)
            return len(connection.recv(4)) == 4
    except OSError:
        return False


def answers_http(url):
    try:
        with urllib.request.urlopen(url, timeout=20):
            return True
    except urllib.error.HTTPError as error:
        # Refusing, or offering a choice, is an answer too.
        return error.code < 500
    except OSError:
        return False
