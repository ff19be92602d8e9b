"""Whole plugins as child processes, by the worker's side of the protocol."""

import base64
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import client  # noqa: E402

UUID = "8b6f0000-0000-4000-8000-00000000000"
ODD = client.python(os.path.join(client.HERE, "odd_host.py"))
MEMORY = client.example("memory_host.py")


class PluginTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name

    def start(self, command, hello=True, options=None):
        plugin = client.Plugin(command, self.directory)
        self.addCleanup(plugin.end)
        if hello:
            plugin.hello(options)
        return plugin

    def fails(self, code, action):
        with self.assertRaises(client.Answer) as caught:
            action()
        self.assertEqual(caught.exception.code, code)
        return caught.exception.error


class HandshakeTests(PluginTest):
    def test_the_answer_has_what_the_worker_needs(self):
        plugin = self.start(ODD, hello=False)
        answer = plugin.hello(unknown={"a": 1})
        self.assertEqual((answer["version"], answer["nonce"], answer["protocol"]), (1, "0123", "vmops-plugin"))
        self.assertEqual(answer["limits"]["max_parallel"], 4)
        self.assertEqual(plugin.end(), 0)
        self.assertEqual("".join(plugin.log), "a stray print\n")

    def test_the_highest_common_version_is_taken(self):
        self.assertEqual(self.start(ODD, hello=False).hello(versions=[7, 1, 0])["version"], 1)

    def test_without_a_common_version_it_says_so_and_ends_with_76(self):
        plugin = self.start(ODD, hello=False)
        answer = plugin.hello(versions=[2, 3])
        self.assertEqual((answer["versions"], "version" in answer), ([1], False))
        self.assertEqual(plugin.process.wait(10), 76)

    def test_a_host_that_does_not_open_is_an_error(self):
        for how, code in (("unavailable", "unavailable"), ("bug", "internal")):
            plugin = self.start(ODD, hello=False)
            plugin.queue("hello").put(None)
            plugin.hello({"fail": how})
            self.assertEqual(plugin.queue("error").get(timeout=20)["error"]["code"], code)
            self.assertEqual(plugin.process.wait(10), 1)

    def test_who_starts_it_by_hand_is_told_what_it_is(self):
        environment = {**os.environ, "PYTHONPATH": client.SDK}
        environment.pop("VMOPS_PLUGIN", None)
        done = subprocess.run(ODD, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"vmops", done.stdout)

    def test_garbage_is_reported_and_ends_it(self):
        plugin = self.start(ODD)
        plugin.send_bytes(b"GET / HTTP/1.1\r\n\r\n")
        error = plugin.queue("error").get(timeout=20)["error"]
        self.assertIn("GET /", error["message"])
        self.assertEqual(plugin.process.wait(10), 1)


class RequestTests(PluginTest):
    def test_slow_requests_hold_up_nobody(self):
        plugin = self.start(ODD)
        slow = plugin.begin("machine.get", {"uuid": UUID + "2"})
        quick = plugin.call("machine.get", uuid=UUID + "9")
        self.assertEqual(quick["state"], "off")
        plugin.send(kind="ping", id=5)
        self.assertEqual(plugin.queue("pong").get(timeout=20)["id"], 5)
        plugin.call("host.probe")
        self.assertEqual(plugin.result(slow)["state"], "off")

    def test_pings_are_answered_while_all_threads_work(self):
        plugin = self.start(ODD)
        numbers = [plugin.begin("machine.get", {"uuid": UUID + "1"}) for _ in range(4)]
        plugin.send(kind="ping", id=1)
        self.assertEqual(plugin.queue("pong").get(timeout=20)["id"], 1)
        for number in numbers:
            plugin.send(kind="cancel", id=number)
        for number in numbers:
            self.fails("cancelled", lambda: plugin.result(number))

    def test_a_request_that_waits_for_a_thread_is_cancelled_as_well(self):
        plugin = self.start(ODD)
        first = [plugin.begin("machine.get", {"uuid": UUID + "1"}) for _ in range(4)]
        waiting = plugin.begin("machine.get", {"uuid": UUID + "9"})
        for number in [waiting, *first]:
            plugin.send(kind="cancel", id=number)
        self.fails("cancelled", lambda: plugin.result(waiting))

    def test_the_deadline_is_kept_even_by_methods_that_do_not_look(self):
        plugin = self.start(ODD)
        for last in "12":
            number = plugin.begin("machine.get", {"uuid": UUID + last}, deadline_ms=50)
            error = self.fails("timeout", lambda: plugin.result(number))
            self.assertTrue(error["retryable"])

    def test_a_request_waits_for_one_that_outlived_its_deadline(self):
        plugin = self.start(ODD)
        late = plugin.begin("machine.delete", {"uuid": UUID + "2"}, deadline_ms=50)
        self.fails("timeout", lambda: plugin.result(late))
        waiting = plugin.begin("machine.delete", {"uuid": UUID + "2"}, deadline_ms=50)
        following = plugin.begin("machine.delete", {"uuid": UUID + "2"})
        self.fails("timeout", lambda: plugin.result(waiting))
        plugin.call("machine.delete", uuid=UUID + "9")
        calls = plugin.call("machine.diagnostics", uuid=UUID + "9")["diagnostics"]["calls"]
        self.assertEqual(calls, 2)
        plugin.call("host.probe")
        self.assertEqual(plugin.result(following), {})
        calls = plugin.call("machine.diagnostics", uuid=UUID + "9")["diagnostics"]["calls"]
        self.assertEqual(calls, 3)

    def test_a_repeated_request_gets_the_recorded_answer(self):
        plugin = self.start(ODD)
        for _ in range(3):
            number = plugin.begin("machine.delete", {"uuid": UUID + "9"}, idempotency_key="k1")
            self.assertEqual(plugin.result(number), {})
        self.assertEqual(plugin.result(plugin.begin("machine.delete", {"uuid": UUID + "9"}, idempotency_key="k2")), {})
        self.assertEqual(plugin.call("machine.diagnostics", uuid=UUID + "9")["diagnostics"], {"calls": 2})

    def test_progress_comes_before_the_answer(self):
        plugin = self.start(ODD)
        number = plugin.begin("machine.delete", {"uuid": UUID + "9"})
        plugin.result(number)
        steps = [plugin.queue(f"progress {number}").get_nowait()["step"] for _ in range(3)]
        self.assertEqual(steps, [0, 1, 2])

    def test_what_is_unknown_is_unimplemented_or_ignored(self):
        plugin = self.start(ODD)
        plugin.send(kind="weather", id=1)
        plugin.send_bytes(b"\0\0\0\x03\x63??")
        plugin.send(kind="cancel", id=99)
        plugin.send(kind="credit", stream=9, bytes=1)
        for method in ("machine.fly", "machine.create", "console.write", "__init__"):
            params = {"uuid": UUID + "9", "base64": ""}
            if method == "machine.create":
                directory = plugin.instances + "/a"
                params = {"spec": dict(uuid=UUID + "9", name="a", directory=directory, memory_mb=1, vcpus=1)}
            self.fails("unimplemented", lambda: plugin.call(method, **params))

    def test_params_are_checked_before_the_host_sees_them(self):
        plugin = self.start(ODD)
        error = self.fails("invalid_argument", lambda: plugin.call("machine.get", uuid="../x"))
        self.assertEqual(error["details"], {"field": "uuid"})
        self.fails("invalid_argument", lambda: plugin.result(plugin.begin("machine.get", [])))

    def test_a_bug_is_an_internal_error_and_a_traceback_in_the_log(self):
        plugin = self.start(ODD)
        self.fails("internal", lambda: plugin.call("machine.get", uuid=UUID + "3"))
        plugin.end()
        lines = [json.loads(line) for line in plugin.log if line.startswith("{")]
        self.assertEqual([line["level"] for line in lines], ["error"])
        self.assertIn("KeyError", lines[0]["message"])

    def test_secrets_stay_out_of_errors_and_the_log(self):
        plugin = self.start(ODD)
        params = dict(volume_id="v", type="file", data={"password": "hunter2"})
        error = self.fails("internal", lambda: plugin.call("volume.connect", **params))
        plugin.end()
        self.assertNotIn("hunter2", json.dumps(error) + "".join(plugin.log))

    def test_children_neither_read_frames_nor_write_them(self):
        plugin = self.start(ODD)
        self.assertEqual(plugin.call("machine.get", uuid=UUID + "4")["state"], "off")
        plugin.end()
        self.assertIn("0\n", plugin.log)

    def test_an_answer_that_fits_into_no_frame_is_an_error(self):
        plugin = self.start(ODD)
        self.fails("internal", lambda: plugin.call("machine.get", uuid=UUID + "5"))

    def test_the_end_of_input_ends_it_with_requests_under_way(self):
        plugin = self.start(ODD)
        plugin.begin("machine.get", {"uuid": UUID + "2"})
        plugin.send(kind="goodbye", reason="test")
        begin = time.monotonic()
        self.assertEqual(plugin.end(), 0)
        self.assertLess(time.monotonic() - begin, 5)


    def test_a_signal_ends_it_in_order(self):
        plugin = self.start(MEMORY)
        plugin.call("machine.create", spec=spec(plugin))
        plugin.process.terminate()
        self.assertEqual(plugin.process.wait(10), 0)
        self.assertEqual(plugin.queue("eof").get(timeout=20), b"")


class EventTests(PluginTest):
    def test_nothing_is_told_before_the_subscription(self):
        plugin = self.start(ODD)
        plugin.call("machine.delete", uuid=UUID + "9")
        plugin.call("events.subscribe")
        plugin.call("machine.delete", uuid=UUID + "9")
        event = plugin.event()
        self.assertEqual((event["seq"], event["type"], event["incarnation"]), (1, "removed", 1))
        self.assertTrue(plugin.queue("event").empty())

    def test_a_flood_that_nobody_reads_is_a_gap_and_not_a_jam(self):
        plugin = self.start(ODD)
        plugin.call("events.subscribe")
        plugin.gate.clear()
        number = plugin.begin("machine.reset", {"uuid": UUID + "9"})
        time.sleep(0.1)
        plugin.gate.set()
        self.assertEqual(plugin.result(number), {"state": "running"})
        plugin.call("machine.delete", uuid=UUID + "9")
        last = 0
        while True:
            event = plugin.event()
            self.assertGreater(event["seq"], last)
            last = event["seq"]
            if event["type"] == "removed":
                break
            self.assertEqual(event["seq"], event["incarnation"])
        self.assertEqual(last, 20001)


class ConsoleTests(PluginTest):
    def test_what_is_lost_is_counted_and_the_rest_is_exact(self):
        plugin = self.start(ODD)
        opened = plugin.call("console.open", uuid=UUID + "9")
        self.assertEqual(opened, {"stream": 1, "offset": 0})
        whole = b"".join(b"%09d\n" % number for number in range(100000))
        position, granted, lost = 0, 0, 0
        while True:
            item = plugin.queue("stream 1").get(timeout=20)
            if item[0] == "data":
                self.assertEqual((item[1], item[2]), (position, whole[position : position + len(item[2])]))
                position += len(item[2])
                granted += len(item[2])
                plugin.send(kind="credit", stream=1, bytes=len(item[2]))
            elif item[0] == "dropped":
                self.assertEqual(item[1]["offset"], position)
                position += item[1]["bytes"]
                lost += item[1]["bytes"]
            else:
                self.assertEqual(item[1]["reason"], "stopped")
                break
        self.assertEqual(position, len(whole))
        self.assertGreater(granted, 0)

    def test_a_path_is_an_answer_too(self):
        plugin = self.start(ODD)
        self.assertEqual(plugin.call("console.open", uuid=UUID + "2"), {"path": "/dev/pts/7"})

    def test_a_machine_has_one_stream(self):
        plugin = self.start(MEMORY)
        plugin.call("machine.create", spec=spec(plugin))
        self.assertEqual(plugin.call("console.open", uuid=UUID + "9")["stream"], 1)
        self.fails("busy", lambda: plugin.call("console.open", uuid=UUID + "9", takeover=False))
        self.assertEqual(plugin.call("console.open", uuid=UUID + "9")["stream"], 2)
        self.assertEqual(plugin.queue("stream 1").get(timeout=20)[1]["reason"], "superseded")
        plugin.call("console.close", stream=2)
        plugin.call("console.close", stream=2)
        self.assertEqual(plugin.queue("stream 2").get(timeout=20)[1]["reason"], "closed")
        self.assertEqual(plugin.call("console.open", uuid=UUID + "9", takeover=False)["stream"], 3)


def spec(plugin, **changes):
    members = dict(uuid=UUID + "9", name="one", directory=plugin.instances + "/one", memory_mb=64, vcpus=1)
    members.update(changes)
    return members


class MemoryHostTests(PluginTest):
    def test_machines_and_their_words_outlive_a_kill(self):
        plugin = self.start(MEMORY)
        plugin.call("machine.create", spec=spec(plugin, metadata={"sim.lines_per_second": "100"}))
        stream = plugin.call("console.open", uuid=UUID + "9")["stream"]
        plugin.call("machine.setState", uuid=UUID + "9", state="running")
        first, text = plugin.read(stream, 100)
        plugin.process.kill()
        plugin.process.wait()
        again = self.start(MEMORY)
        status = again.call("machine.get", uuid=UUID + "9")
        self.assertEqual((status["state"], status["incarnation"]), ("running", 1))
        opened = again.call("console.open", uuid=UUID + "9", **{"from": first + len(text)})
        self.assertEqual(opened["offset"], first + len(text))
        text += again.read(opened["stream"], 200)[1]
        lines = text.decode().splitlines()
        numbers = [int(line.split()[1]) for line in lines[:-1] if line.startswith("line ")]
        self.assertEqual(numbers, list(range(1, len(numbers) + 1)))
        self.assertGreater(len(numbers), 20)

    def test_a_life(self):
        plugin = self.start(MEMORY)
        plugin.call("events.subscribe")
        path = plugin.instances + "/one/root"
        disk = plugin.call("disk.create", path=path, format="raw", source="blank", virtual_size=1 << 20)
        self.assertEqual(disk["virtual_size"], os.path.getsize(path))
        again = dict(path=path, format="raw", source="blank", virtual_size=1)
        self.fails("already_exists", lambda: plugin.call("disk.create", **again))
        wanted = spec(plugin, disks=[dict(path=path, role="root", format="raw")])
        for _ in range(2):
            plugin.call("machine.create", spec=wanted)
        self.fails("already_exists", lambda: plugin.call("machine.create", spec=spec(plugin, vcpus=2)))
        states = ("off", "running", "running", "paused", "running", "saved", "running")
        for state in states:
            self.assertEqual(plugin.call("machine.setState", uuid=UUID + "9", state=state), {"state": state})
        self.assertEqual(plugin.call("machine.reset", uuid=UUID + "9"), {"state": "running"})
        plugin.call("console.write", uuid=UUID + "9", base64=base64.b64encode(b"reboot\n").decode())
        types = [plugin.event()["type"] for _ in range(6)]
        self.assertEqual(types, ["started", "paused", "resumed", "saved", "resumed", "rebooted"])
        self.assertEqual(plugin.call("machine.requestShutdown", uuid=UUID + "9"), {"answer": "accepted"})
        event = plugin.event()
        self.assertEqual((event["type"], event["reason"]), ("stopped", "guest"))
        error = self.fails("invalid_state", lambda: plugin.call("machine.setState", uuid=UUID + "9", state="paused"))
        self.assertEqual(error["details"], {"state": "off"})
        for _ in range(2):
            plugin.call("machine.delete", uuid=UUID + "9")
        self.assertEqual(plugin.event()["type"], "removed")
        self.assertTrue(os.path.exists(path))
        self.fails("not_found", lambda: plugin.call("machine.get", uuid=UUID + "9"))

    def test_pages_have_each_machine_once(self):
        plugin = self.start(MEMORY)
        for number in range(25):
            one = spec(plugin, uuid=f"8b6f0000-0000-4000-8000-{number:012}", name=f"m{number}")
            plugin.call("machine.create", spec=one)
        names, after = [], {}
        while True:
            page = plugin.call("machine.list", limit=10, **after)
            names += [each["name"] for each in page["machines"]]
            if "next" not in page:
                break
            after = {"after": page["next"]}
        self.assertEqual(sorted(names), sorted(f"m{number}" for number in range(25)))


class ShapeTests(PluginTest):
    def once(self, method, **params):
        places = {"instances_directory": self.directory, "state_directory": self.directory}
        document = {"host": "h", **places, "params": params}
        done = subprocess.run(
            [*ODD, method],
            input=json.dumps(document).encode(),
            env={**os.environ, "PYTHONPATH": client.SDK},
            capture_output=True,
            check=True,
        )
        return json.loads(done.stdout)

    def test_one_process_for_one_request(self):
        answer = self.once("hello")["result"]
        self.assertEqual(answer["versions"], [1])
        self.assertNotIn("host.events", answer["capabilities"]["flags"])
        self.assertEqual(self.once("machine.get", uuid=UUID + "9")["result"]["name"], "odd")
        self.assertEqual(self.once("machine.fly")["error"]["code"], "unimplemented")
        self.assertEqual(self.once("console.open", uuid=UUID + "2")["result"]["path"], "/dev/pts/7")

    def test_a_service_on_a_socket(self):
        path = os.path.join(self.directory, "socket")
        service = subprocess.Popen(
            [*ODD, "--socket", path],
            env={**os.environ, "PYTHONPATH": client.SDK},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        self.addCleanup(service.stderr.close)
        self.addCleanup(service.wait)
        self.addCleanup(service.terminate)
        self.assertIn(b"listening", service.stderr.readline())
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        for _ in range(2):
            with socket.socket(socket.AF_UNIX) as worker:
                worker.settimeout(20)
                worker.connect(path)
                text = json.dumps(
                    {"kind": "hello", "protocol": "vmops-plugin", "versions": [1], "host": "h",
                     "instances_directory": "/i", "state_directory": "/s", "nonce": "n"}
                ).encode()  # fmt: skip
                worker.sendall((len(text) + 1).to_bytes(4, "big") + b"\x01" + text)
                self.assertEqual(json.loads(worker.recv(65536)[5:])["version"], 1)


if __name__ == "__main__":
    unittest.main()
