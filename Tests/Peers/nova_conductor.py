"""Nova's conductor as its package starts it, in a process of its own that can be killed and started again.

What is needed for that is imported once: a small process, forked before there are any threads, forks the conductors. One
that works with eventlet, as those of Nova 26, has to be another interpreter: nova_conductor.py CONFIGURATION PARENT.
"""

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading

from nova import monkey_patch

CAN_FORK = hasattr(monkey_patch, "patch")
if CAN_FORK:
    monkey_patch.patch(backend="threading")

import sqlalchemy  # noqa: E402
from nova import config  # noqa: E402
from nova import context as nova_context  # noqa: E402
from nova import objects, rpc, service  # noqa: E402
from nova.conf import CONF  # noqa: E402
from nova.db.api import api as api_db  # noqa: E402
from nova.db.api import models as api_models  # noqa: E402
from nova.db.main import api as main_db  # noqa: E402
from nova.db.main import models as main_models  # noqa: E402
from oslo_utils import uuidutils  # noqa: E402

CELL0 = "00000000-0000-0000-0000-000000000000"


@sqlalchemy.event.listens_for(sqlalchemy.engine.Engine, "before_cursor_execute", retval=True)
def lock_at_once(connection, cursor, statement, parameters, context, executemany):
    """Several processes share the files: a transaction that finds out late that another writes would fail at once."""
    return "BEGIN IMMEDIATE" if statement == "BEGIN" else statement, parameters


def read(configuration):
    """Takes Nova's options from a file, and uses none of them yet."""
    config.parse_args(["nova"], default_config_files=[configuration], configure_db=False, init_rpc=False)
    objects.register_all()


def make_databases(directory, url):
    """Both databases with all their tables, and the mappings of cells that an operator makes; in a process that ends, so
    that nobody inherits a connection."""
    child = os.fork()
    if child == 0:
        try:
            fill_databases(directory, url)
            os._exit(0)
        except BaseException as error:
            print("databases: %r" % error, file=sys.stderr)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    if status != 0:
        raise RuntimeError("the databases could not be made")


def fill_databases(directory, url):
    # Knows the options of transports.
    rpc.init(CONF)
    main_db.configure(CONF)
    api_db.configure(CONF)
    for engine, models in [(main_db.get_engine(), main_models), (api_db.get_engine(), api_models)]:
        with engine.begin() as connection:
            models.BASE.metadata.create_all(connection)
        engine.dispose()
    shutil.copy(directory + "/nova.sqlite", directory + "/cell0.sqlite")
    context = nova_context.get_admin_context()
    for name, uuid, url, file in [("cell0", CELL0, "none:///", "cell0"), ("cell1", uuidutils.generate_uuid(), url, "nova")]:
        objects.CellMapping(
            context, uuid=uuid, name=name, transport_url=url, disabled=False,
            database_connection="sqlite:///%s/%s.sqlite?timeout=60" % (directory, file),
        ).create()


def process(configuration):
    return ForkedConductor() if CAN_FORK else StartedConductor(configuration)


class ForkedConductor:
    def __init__(self):
        self.pipe, other = socket.socketpair()
        self.running = False
        if os.fork() == 0:
            self.pipe.close()
            # Ends with the test, whatever becomes of it: then nobody holds the other end any more.
            os.dup2(2, 1)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            try:
                nurse(other)
            finally:
                os._exit(1)
        other.close()

    def start(self):
        if not self.running:
            self.pipe.sendall(b"s")
            self.pipe.recv(1)
            self.running = True

    def kill(self):
        if self.running:
            self.pipe.sendall(b"k")
            self.pipe.recv(1)
            self.running = False


class StartedConductor:
    def __init__(self, configuration):
        self.command = [sys.executable, "-W", "ignore", os.path.abspath(__file__), configuration, str(os.getpid())]
        self.child = None

    def start(self):
        if self.child is None:
            own = {name: value for name, value in os.environ.items() if name != "OS_NOVA_DISABLE_EVENTLET_PATCHING"}
            # It would import what must not be there before eventlet has had its way.
            own["EVENTLET_NO_GREENDNS"] = "yes"
            self.child = subprocess.Popen(self.command, env=own, stdin=subprocess.DEVNULL, stdout=sys.stderr)

    def kill(self):
        if self.child is not None:
            self.child.kill()
            self.child.wait()
            self.child = None


def nurse(pipe):
    child = None
    while order := pipe.recv(1):
        if order == b"s":
            child = os.fork()
            if child == 0:
                pipe.close()
                serve()
        else:
            end(child)
            child = None
        pipe.sendall(b".")
    if child is not None:
        end(child)
    os._exit(0)


def end(child):
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def serve():
    """What `nova.cmd.conductor` does, with one worker and without a fork more."""
    try:
        rpc.init(CONF)
        main_db.configure(CONF)
        api_db.configure(CONF)
        objects.Service.enable_min_version_cache()
        server = service.Service.create(binary="nova-conductor", host="conductor-1", topic="conductor")
        server.start()
        threading.Event().wait()
    except BaseException as error:
        print("conductor: %r" % error, file=sys.stderr)
        raise
    finally:
        os._exit(1)


def main():
    # Ends with the test, whatever becomes of it: PR_SET_PDEATHSIG.
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() != int(sys.argv[2]):
        os._exit(1)
    read(sys.argv[1])
    serve()


if __name__ == "__main__":
    main()
