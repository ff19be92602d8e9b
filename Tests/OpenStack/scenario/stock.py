"""Hosts of Nova's own nova-compute, to compare with: its fake driver, or libvirt's with QEMU that emulates."""

import os
import shutil
import tempfile
import uuid

import files
from cloud import eventually
from common import write
from hosts import Host
from services import path_of

FAKE = "compute_driver = fake.FakeDriver"
LIBVIRT = """compute_driver = libvirt.LibvirtDriver
[libvirt]
virt_type = qemu
cpu_mode = none
connection_uri = qemu:///session?socket={socket}"""
# Debian's nova-compute without its package, which wants libvirt's system daemon.
PROGRAM = "import sys; from nova.cmd.compute import main; sys.argv[0] = 'nova-compute'; sys.exit(main())"


class StockHost(Host):
    """A host of nova-compute with its fake driver."""

    def __init__(self, plane, name):
        super().__init__(plane, None, name)

    def driver(self):
        return FAKE

    def configuration(self):
        return files.stock_host(self.plane, self.name, self.state_path, self.driver())

    def command(self, configuration):
        return [path_of("python3"), "-c", PROGRAM, "--config-file", configuration]

    def environment(self):
        return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": self.state_path, "LANG": "C.UTF-8"}


class LibvirtHost(StockHost):
    """A host of nova-compute with libvirt's driver and a session daemon of libvirt of its own. Such a daemon is not root's,
    so both are of Nova's user."""

    def __init__(self, plane, name):
        super().__init__(plane, name)
        self.daemon = None
        # Short, for the sockets in it.
        self.directory = tempfile.mkdtemp(prefix="vl")
        self.socket = os.path.join(self.directory, "run/libvirt/libvirt-sock")

    def owner(self):
        return self.plane.owner("nova-conductor")

    def driver(self):
        return LIBVIRT.format(socket=self.socket)

    def environment(self):
        places = {"XDG_RUNTIME_DIR": "run", "XDG_CONFIG_HOME": "config", "XDG_CACHE_HOME": "cache", "XDG_DATA_HOME": "data"}
        return super().environment() | {name: os.path.join(self.directory, each) for name, each in places.items()}

    def start(self):
        if self.daemon is None:
            self.start_daemon()
        super().start()

    def start_daemon(self):
        os.makedirs(os.path.join(self.state_path, "instances"), exist_ok=True)
        for each in ("run", "config/libvirt", "cache", "data"):
            os.makedirs(os.path.join(self.directory, each))
        settings = {
            "libvirtd": 'host_uuid = "%s"\nlog_outputs = "3:file:%s/libvirtd.log"\n' % (uuid.uuid4(), self.state_path),
            # Otherwise it starts a daemon for logs, which outlives it.
            "qemu": 'stdio_handler = "file"\n',
        }
        for name, text in settings.items():
            write(os.path.join(self.directory, "config/libvirt", name + ".conf"), text)
        if owner := self.owner():
            for place in (self.directory, self.state_path):
                for directory, _, names in os.walk(place):
                    for name in [directory, *(os.path.join(directory, each) for each in names)]:
                        os.chown(name, *owner)
        self.daemon = self.run([path_of("libvirtd")])
        eventually("libvirtd listens", lambda: os.path.exists(self.socket), 30, 0.05)

    def end(self):
        """The daemon too, which `stop` leaves running for the next start."""
        self.stop()
        if self.daemon is not None:
            self.daemon.terminate()
            self.daemon.wait(30)
            self.daemon = None
        shutil.rmtree(self.directory, ignore_errors=True)
