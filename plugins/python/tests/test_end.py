"""A worker that is killed takes its plugins with it, and nothing else."""

import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import client

WORKER = """
import json, os, struct, subprocess, sys, time
plugin, directory, failure = sys.argv[1:]
command = [sys.executable, plugin]
process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
hello = {"kind": "hello", "protocol": "vmops-plugin", "versions": [1], "host": "h", "nonce": "n",
         "instances_directory": directory, "state_directory": directory, "options": {"fail": failure}}
data = json.dumps(hello).encode()
process.stdin.write(struct.pack(">IB", len(data) + 1, 1) + data)
if failure != "open":
    (length,) = struct.unpack(">I", process.stdout.read(4))
    assert b"hello" in process.stdout.read(length)
print(process.pid, flush=True)
time.sleep(600)
"""


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            # A zombie is one that nobody has asked about yet.
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@unittest.skipUnless(os.path.exists("/proc/self/stat"), "needs /proc")
class ParentTests(unittest.TestCase):
    def ends(self, plugin, failure=""):
        with tempfile.TemporaryDirectory() as directory:
            environment = {**os.environ, "VMOPS_PLUGIN": "1", "PYTHONPATH": client.SDK}
            words = [sys.executable, "-c", WORKER, os.path.join(client.HERE, plugin), directory, failure]
            worker = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment)
            self.addCleanup(worker.stdout.close)
            pid = int(worker.stdout.readline())
            try:
                self.assertTrue(is_running(pid))
                worker.send_signal(signal.SIGKILL)
                worker.wait()
                end = time.monotonic() + client.PATIENCE
                while is_running(pid) and time.monotonic() < end:
                    time.sleep(0.01)
                self.assertFalse(is_running(pid), "the plugin runs on without its worker")
            finally:
                if is_running(pid):
                    os.kill(pid, signal.SIGKILL)

    def test_one_with_threads_and_machines(self):
        self.ends("../examples/memory_host.py")

    def test_one_whose_host_does_not_close(self):
        self.ends("odd_host.py", "close")

    def test_one_whose_host_is_still_being_opened(self):
        self.ends("odd_host.py", "open")


if __name__ == "__main__":
    unittest.main()
