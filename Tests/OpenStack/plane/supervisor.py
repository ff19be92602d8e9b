"""The process that a control plane's services are children of.

It holds a lock on DIR/supervisor.lock as long as it runs, obeys requests on the socket DIR/supervisor.sock, and stops all
services, and the broker, on SIGTERM or when the process given as parent ends. Should it be killed itself, the kernel kills
each service's first process, and those end their own workers.
"""

import ctypes
import fcntl
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True

from common import BROKER, Failure  # noqa: E402
from services import SERVICES, Service, environment  # noqa: E402
from settings import Plane  # noqa: E402

STOP_SECONDS = 20
LIBC = ctypes.CDLL(None)


def die_with_supervisor():
    LIBC.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def processes_of_session(leader):
    """All that runs in the session of a process."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open("/proc/%s/stat" % entry) as file:
                    fields = file.read().rpartition(")")[2].split()
            except OSError:
                continue
            if fields[0] != "Z" and int(fields[3]) == leader:
                found.append(int(entry))
    return found


def signal_session(leader, number):
    for pid in processes_of_session(leader):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


class Supervisor:
    def __init__(self, plane):
        self.plane = plane
        self.children = {}

    def start(self, name):
        if self.is_running(name):
            return
        service = Service(self.plane, name)
        identity = {}
        owner = self.plane.owner(name)
        if owner:
            identity = dict(user=owner[0], group=owner[1], extra_groups=[])
        with open(service.log, "ab") as log:
            self.children[name] = subprocess.Popen(
                service.command(),
                env=environment(self.plane, name),
                cwd=self.plane.directory_of(name),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_supervisor,
                **identity,
            )

    def is_running(self, name):
        return name in self.children and self.children[name].poll() is None

    def stop(self, name, number=signal.SIGTERM):
        """Ends a service and all that it started."""
        child = self.children.pop(name, None)
        if child is None:
            return
        deadline = time.monotonic() + (STOP_SECONDS if number == signal.SIGTERM else 0)
        if child.poll() is None:
            signal_session(child.pid, signal.SIGCONT)
            child.send_signal(number)
        while time.monotonic() < deadline and (child.poll() is None or processes_of_session(child.pid)):
            time.sleep(0.05)
        while child.poll() is None or processes_of_session(child.pid):
            signal_session(child.pid, signal.SIGKILL)
            time.sleep(0.02)

    def stop_all(self):
        """All at once, but for the database that the others use until they end."""
        names = [each for each in reversed(SERVICES) if self.is_running(each) and each != "mariadb"]
        for name in names:
            signal_session(self.children[name].pid, signal.SIGCONT)
            self.children[name].terminate()
        for name in names + ["mariadb"]:
            self.stop(name)

    def signal(self, name, number):
        if not self.is_running(name):
            raise Failure("%s is not running" % name)
        signal_session(self.children[name].pid, number)

    def obey(self, request):
        operation, name = request["op"], request.get("name")
        if name is not None and name not in SERVICES:
            raise Failure("there is no service %s; there are: %s" % (name, " ".join(SERVICES)))
        if operation == "start":
            self.start(name)
        elif operation == "stop":
            self.stop(name)
        elif operation == "kill":
            self.stop(name, signal.SIGKILL)
        elif operation == "pause":
            self.signal(name, signal.SIGSTOP)
        elif operation == "resume":
            self.signal(name, signal.SIGCONT)
        return {each: self.children[each].pid for each in SERVICES if self.is_running(each)}

    def serve(self, connection):
        with connection:
            connection.settimeout(5)
            try:
                request = json.loads(connection.makefile().readline())
                answer = {"running": self.obey(request)}
            except (Failure, OSError) as failure:
                answer = {"error": str(failure)}
            except ValueError:
                return
            try:
                connection.settimeout(5)
                connection.sendall(json.dumps(answer).encode() + b"\n")
            except OSError:
                pass

    def run(self, parent):
        wake, waker = os.pipe()
        os.set_blocking(waker, False)
        signal.set_wakeup_fd(waker)
        stopping = []
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: stopping.append(True))
        os.chdir(self.plane.directory)  # A socket's path may have only 107 bytes.
        try:
            os.unlink("supervisor.sock")
        except FileNotFoundError:
            pass
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("supervisor.sock")
            os.chmod("supervisor.sock", 0o600)
            listener.listen(16)
            poller = select.poll()
            poller.register(wake, select.POLLIN)
            poller.register(listener, select.POLLIN)
            parent_end = None
            if parent:
                try:
                    parent_end = os.pidfd_open(parent)
                    poller.register(parent_end, select.POLLIN)
                except ProcessLookupError:
                    stopping.append(True)
            try:
                while not stopping:
                    for descriptor, _ in poller.poll():
                        if descriptor == parent_end:
                            stopping.append(True)
                        elif descriptor == wake:
                            os.read(wake, 64)
                        else:
                            self.serve(listener.accept()[0])
            finally:
                self.stop_all()
                os.unlink("supervisor.sock")
                subprocess.run([BROKER, "stop", self.plane.path("broker")])


def main():
    plane = Plane(sys.argv[1])
    parent = int(sys.argv[2])
    lock = open(plane.path("supervisor.lock"), "a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    Supervisor(plane).run(parent)
    os._exit(0)  # The lock is held to the very end, so that who waits for it finds no process left.


if __name__ == "__main__":
    main()
