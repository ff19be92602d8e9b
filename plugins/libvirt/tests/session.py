"""A session daemon of libvirt for one test: private directories, no root's rights, ended with its machines."""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid

HERE = os.path.dirname(os.path.abspath(__file__))
PLUGIN = os.path.dirname(HERE)
SDK = os.path.join(os.path.dirname(PLUGIN), "python")
GUESTS = os.path.join(os.path.dirname(os.path.dirname(PLUGIN)), "Tests", "Guests")
sys.path.insert(0, os.path.join(SDK, "tests"))

import client  # noqa: E402

DAEMON = shutil.which("libvirtd", path="/usr/sbin:/usr/bin:/sbin")


def can_run():
    return DAEMON is not None and shutil.which("qemu-system-x86_64") is not None


def python():
    """An interpreter that has libvirt's module."""
    for candidate in (sys.executable, "/usr/bin/python3"):
        if subprocess.run([candidate, "-c", "import libvirt"], stderr=subprocess.DEVNULL, check=False).returncode == 0:
            return candidate
    return None


class Place:
    """A directory that the unprivileged user owns, with copies of the programs: the checkout may be root's alone."""

    def __init__(self):
        # Short, for the sockets in it.
        self.path = tempfile.mkdtemp(prefix="vl", dir="/tmp")
        os.chmod(self.path, 0o755)
        self.user = pwd.getpwnam("nobody") if os.getuid() == 0 else None
        for source in (os.path.join(SDK, "vmops_plugin"), os.path.join(PLUGIN, "vmops_libvirt")):
            shutil.copytree(source, os.path.join(self.path, "code", os.path.basename(source)))
        self.give(self.path)

    def give(self, path):
        if self.user is not None:
            for directory, _, files in os.walk(path):
                for name in [directory, *(os.path.join(directory, each) for each in files)]:
                    os.chown(name, self.user.pw_uid, self.user.pw_gid)

    def command(self, words):
        if self.user is None:
            return words
        who = ["--reuid", str(self.user.pw_uid), "--regid", str(self.user.pw_gid), "--clear-groups"]
        return ["setpriv", *who, "--", *words]

    def directory(self, *names):
        path = os.path.join(self.path, *names)
        os.makedirs(path, exist_ok=True)
        self.give(os.path.join(self.path, names[0]))
        return path

    def remove(self):
        shutil.rmtree(self.path, ignore_errors=True)


class Daemon:
    def __init__(self, place, name):
        self.place = place
        self.name = name
        self.base = place.directory(name)
        for each in ("run", "config/libvirt", "cache", "data", "home"):
            os.makedirs(os.path.join(self.base, each), exist_ok=True)
        with open(os.path.join(self.base, "config/libvirt/libvirtd.conf"), "w") as file:
            file.write(f'host_uuid = "{uuid.uuid4()}"\nlog_outputs = "3:file:{self.base}/log"\n')
        with open(os.path.join(self.base, "config/libvirt/qemu.conf"), "w") as file:
            # Otherwise it starts a log daemon that outlives it.
            file.write('stdio_handler = "file"\n')
        place.give(self.base)
        self.socket = os.path.join(self.base, "run/libvirt/libvirt-sock")
        self.start()

    @property
    def uri(self):
        return f"qemu:///session?socket={self.socket}"

    def start(self):
        environment = {
            "PATH": os.environ["PATH"] + ":/usr/sbin",
            "LANG": "C.UTF-8",
            "HOME": os.path.join(self.base, "home"),
            "XDG_RUNTIME_DIR": os.path.join(self.base, "run"),
            "XDG_CONFIG_HOME": os.path.join(self.base, "config"),
            "XDG_CACHE_HOME": os.path.join(self.base, "cache"),
            "XDG_DATA_HOME": os.path.join(self.base, "data"),
        }
        self.process = subprocess.Popen(
            self.place.command([DAEMON]),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        end = time.monotonic() + 30
        while not os.path.exists(self.socket):
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError("libvirtd does not start")
            time.sleep(0.02)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if os.path.exists(self.socket):
            os.unlink(self.socket)

    def end(self):
        """With its machines: they are QEMUs whose pid files are below its directory."""
        self.stop()
        directory = os.path.join(self.base, "run/libvirt/qemu/run")
        for name in os.listdir(directory) if os.path.isdir(directory) else ():
            if name.endswith(".pid") and name != "driver.pid":
                try:
                    with open(os.path.join(directory, name)) as file:
                        os.kill(int(file.read()), signal.SIGKILL)
                except (OSError, ValueError):
                    pass

    def limit_migrations(self, uuid, mebibytes):
        """How much of the machine's memory a second takes at most."""
        code = "import sys, libvirt; libvirt.open(sys.argv[1]).lookupByUUIDString(sys.argv[2]).migrateSetMaxSpeed("
        code += "int(sys.argv[3]))"
        words = [python(), "-c", code, self.uri, uuid, str(mebibytes)]
        subprocess.run(self.place.command(words), check=True)

    def plugin(self, name, options=None):
        """A plugin that drives this daemon, after its handshake."""
        directory = self.place.directory(name)
        plugin = client.Plugin(
            self.place.command([python(), "-m", "vmops_libvirt"]),
            directory,
            {"PYTHONPATH": os.path.join(self.place.path, "code"), "PYTHONDONTWRITEBYTECODE": "1"},
        )
        for each in ("instances", "state"):
            self.place.directory(name, each)
        plugin.answer = plugin.hello({"uri": self.uri, "network": "user", **(options or {})})
        return plugin


def tick_disk(path):
    script = os.path.join(GUESTS, "build.py")
    subprocess.run([sys.executable, script, "tick", path], check=True)
