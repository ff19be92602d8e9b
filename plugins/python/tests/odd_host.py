"""A host that does what a host should not do, or does it slowly; which, the last digits of the uuid say."""

import subprocess
import sys
import threading
import time

import vmops_plugin as vmops
from vmops_plugin import program

# Tests do not wait as long as an owner would.
program.LAST_SECONDS, program.PARENT_LOOK = 2, 0.1


class OddHost(vmops.Host):
    plugin_name = "odd"
    flags = ("host.events",)
    max_parallel = 4
    console_buffer = 1000

    def open(self, setup):
        if setup.options.get("fail") == "unavailable":
            raise vmops.Unavailable("not now")
        if setup.options.get("fail") == "bug":
            raise ZeroDivisionError("a bug")
        if setup.options.get("fail") == "open":
            time.sleep(600)
        print("a stray print")
        self.calls = []
        self.released = threading.Event()
        return vmops.HostIdentity("odd", setup.host, "odd", 1)

    def close(self):
        if self.setup.options.get("fail") == "close":
            time.sleep(600)

    def machine_get(self, request, uuid):
        kind = uuid[-4:]
        if kind == "0001":
            request.wait(60)
        elif kind == "0002":
            # Deaf to its deadline, but not for ever.
            self.released.wait(20)
        elif kind == "0003":
            raise KeyError("a bug")
        elif kind == "0004":
            words = [sys.executable, "-c", "import sys; print(len(sys.stdin.read()))"]
            subprocess.run(words, check=True)
        elif kind == "0005":
            return vmops.MachineStatus(uuid, "x" * (1 << 21), vmops.OFF)
        return vmops.MachineStatus(uuid, "odd", vmops.OFF)

    def machine_delete(self, request, uuid):
        self.calls.append(uuid)
        if uuid.endswith("0002"):
            self.released.wait(20)
        for number in range(3):
            request.progress(step=number)
        self.emit(uuid, "removed")

    def machine_diagnostics(self, request, uuid):
        return {"calls": len(self.calls)}

    def host_probe(self, request):
        self.released.set()

    def volume_connect(self, request, volume):
        raise ValueError(f"cannot use {volume.data}")

    def machine_reset(self, request, uuid):
        for number in range(20000):
            self.emit(uuid, "rebooted", incarnation=number + 1)
        return vmops.RUNNING

    def console_open(self, request, uuid, offset):
        if uuid.endswith("0002"):
            return vmops.ConsolePath("/dev/pts/7")
        console = vmops.Console(self.console_buffer)
        threading.Thread(target=self.print_much, args=(console,), daemon=True).start()
        return console

    def print_much(self, console):
        for number in range(100000):
            console.write(b"%09d\n" % number)
            if number % 1000 == 0:
                time.sleep(0.001)
        console.end("stopped")


if __name__ == "__main__":
    vmops.main(OddHost)
