import os
import re
import sys
import threading
import unittest

from support import HERE, Request

from vmops_hyperv.errors import HyperVError
from vmops_hyperv.executor import Unhurried
from vmops_hyperv.runner.powershell import BRIDGE, PowerShellRunner, command
from vmops_hyperv.steps import VM, Cmdlet, Moves, Script, encode

FAKE = [sys.executable, os.path.join(HERE, "fake_powershell.py")]


class Cancelling:
    """A request that is cancelled once it has been looked at a few times."""

    def __init__(self, looks=3, limit=None):
        self.looks, self.limit = looks, limit

    def remaining(self):
        return self.limit

    def check(self):
        self.looks -= 1
        if self.looks < 0:
            raise HyperVError("cancelled", "cancelled")


class ProcessTests(unittest.TestCase):
    def setUp(self):
        self.runner = PowerShellRunner(arguments=FAKE, limit=2)
        self.addCleanup(self.runner.close)

    def run_script(self, name, request=None, **values):
        return self.runner.run(Script(name, **values), request or Unhurried(30))

    def test_one_process_serves_one_request_after_the_other(self):
        self.assertEqual(self.run_script("pid"), self.run_script("pid"))

    def test_several_requests_at_once_have_a_process_each_up_to_the_limit(self):
        pids, barrier = [], threading.Barrier(2)

        def one():
            barrier.wait(10)
            pids.append(self.run_script("pid")["pid"])

        threads = [threading.Thread(target=one) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        self.assertEqual(len(pids), 2)
        self.assertLessEqual(len(set(pids)), 2)

    def test_data_arrives_as_it_was(self):
        texts = ["'; Remove-VM * #", '"$(Get-Process)"', "`n$env:PATH", "\u00e4\u20ac\U0001f600", "a\u2028b", "\x00\x1f", "",
                 "2026-11-21T14:00:00Z", "/Date(0)/", "\\\\.\\pipe\\x", "x" * 100000]
        step = Cmdlet("Set-VM", {"T%d" % n: text for n, text in enumerate(texts)})
        document = self.runner.run(step, Unhurried(30))["document"]
        self.assertEqual(document["parameters"], {"T%d" % n: {"s": "=" + text} for n, text in enumerate(texts)})

    def test_nested_answers_arrive_whole(self):
        deep = {"a": {"b": {"c": {"d": [1, [2, [3]]]}}}}
        step = Script("deep")
        step.document = lambda: {"name": "deep", "document": deep}
        self.assertEqual(self.runner.run(step, Unhurried(30))["document"]["document"], deep)

    def test_errors_become_the_protocols(self):
        with self.assertRaises(HyperVError) as caught:
            self.run_script("error")
        self.assertEqual(caught.exception.code, "not_found")

    def test_a_process_that_ends_is_unavailable_and_the_next_request_has_a_new_one(self):
        before = self.run_script("pid")
        with self.assertRaises(HyperVError) as caught:
            self.run_script("exit")
        self.assertEqual(caught.exception.code, "unavailable")
        self.assertNotEqual(self.run_script("pid"), before)

    def test_a_process_that_does_not_answer_is_ended_at_the_deadline(self):
        before = self.run_script("pid")
        with self.assertRaises(HyperVError) as caught:
            self.run_script("hang", Unhurried(0.2))
        self.assertEqual(caught.exception.code, "timeout")
        self.assertNotEqual(self.run_script("pid"), before)

    def test_a_cancelled_request_ends_its_process(self):
        with self.assertRaises(HyperVError) as caught:
            self.run_script("hang", Cancelling())
        self.assertEqual(caught.exception.code, "cancelled")
        self.assertIn("pid", self.run_script("pid"))

    def test_what_is_no_answer_is_ignored_also_when_it_looks_like_one(self):
        self.assertEqual(self.run_script("noise"), {"ok": True})

    def test_an_answer_that_cannot_be_read_ends_the_process(self):
        for what in ("garbage", "list", "number"):
            with self.assertRaises(HyperVError) as caught:
                self.run_script(what)
            self.assertEqual(caught.exception.code, "unavailable", what)

    def test_without_powershell_it_is_unavailable(self):
        for arguments in ([os.path.join(HERE, "no-such-program")], FAKE + ["die"]):
            runner = PowerShellRunner(arguments=arguments)
            with self.assertRaises(HyperVError) as caught:
                runner.run(Script("pid"), Unhurried(30))
            self.assertEqual(caught.exception.code, "unavailable")

    def test_events_arrive_and_their_end_is_told(self):
        seen, lost = [], threading.Event()
        stop = self.runner.watch(seen.append, lost.set)
        self.assertTrue(lost.wait(10))
        stop()
        self.assertEqual([(each["id"], each["enabled_state"]) for each in seen], [("v", 2)])

    def test_closing_ends_all_processes(self):
        pid = self.run_script("pid")["pid"]
        self.runner.close()
        with self.assertRaises(OSError):
            os.kill(pid, 0)


class BridgeTests(unittest.TestCase):
    """What can be said of the script without running it."""

    def setUp(self):
        with open(BRIDGE, encoding="utf-8") as file:
            self.text = file.read()
        self.code = "\n".join(line for line in self.text.split("\n") if not line.lstrip().startswith("#"))

    def without_strings(self):
        return re.sub(r"'(?:[^']|'')*'", "''", self.code)

    def test_it_is_plain_ascii(self):
        self.assertTrue(self.text.isascii())

    def test_nothing_is_expanded_in_a_string(self):
        self.assertNotIn('"', self.without_strings())
        self.assertNotIn("`", self.without_strings())
        self.assertNotIn("@'", self.code)

    def test_nothing_makes_text_to_code(self):
        for word in ("Invoke-Expression", "iex ", "ScriptBlock", "AddScript", "Add-Type", "Invoke-Command", "Start-Process",
                     "ExpandString", "-EncodedCommand", "New-Object -Com", "[powershell]", "InvokeScript", "-f $"):
            self.assertNotIn(word.lower(), self.without_strings().lower(), word)

    def test_only_commands_of_the_list_are_called_by_name(self):
        calls = re.findall(r"(?<!&)&\s*(\S+)", self.without_strings())
        self.assertEqual(set(calls), {"$first", "$command"})
        for name in ("first", "command"):
            for assigned in re.findall(r"\$%s = (.*)" % name, self.code):
                self.assertTrue(assigned.startswith("Find-Cmdlet") or "-split" in assigned, assigned)

    def test_queries_are_constant(self):
        for option in ("-Filter", "-Query"):
            used = set(re.findall(option + r"\s+(\$?[^\s)]+)", self.code))
            self.assertLessEqual(used, {"$realized", "$planned", "$changes"})
        for name in ("realized", "planned", "changes"):
            self.assertEqual(len(re.findall(r"^\$%s = '(?:[^']|'')*'$" % name, self.code, re.MULTILINE)), 1)
            self.assertEqual(len(re.findall(r"\$%s = " % name, self.code)), 1)

    def test_every_cmdlet_that_a_plan_names_is_on_the_list(self):
        listed = set(re.findall(r"'([A-Z][a-z]+-VM\w*|[A-Z][a-z]+-VHD)'", self.code.split("$methods")[0]))
        planned = set()
        for folder, _, files in os.walk(os.path.dirname(os.path.dirname(BRIDGE))):
            for name in files:
                if name.endswith(".py") and "model" not in name:
                    with open(os.path.join(folder, name), encoding="utf-8") as file:
                        planned |= set(re.findall(r"""Cmdlet\(\s*"([\w-]+)["]""", file.read()))
        planned -= {"Remove-", "Get-"}
        planned |= {verb + noun for verb in ("Get-", "Remove-") for noun in ("VMDvdDrive", "VMHardDiskDrive")}
        self.assertEqual(planned, listed)

    def test_every_script_that_a_plan_names_is_there(self):
        there = set(re.findall(r"^        '(\w+)' \{", self.code.split("function Invoke-Script")[1], re.MULTILINE))
        named = set()
        for folder, _, files in os.walk(os.path.dirname(os.path.dirname(BRIDGE))):
            for name in files:
                if name.endswith(".py"):
                    with open(os.path.join(folder, name), encoding="utf-8") as file:
                        named |= set(re.findall(r'Script\("(\w+)"', file.read()))
        self.assertLessEqual(named, there)

    def test_the_command_line_has_no_data(self):
        self.assertEqual(command("powershell.exe")[-2:], ["-File", BRIDGE])
        self.assertIn("-NoProfile", command("powershell.exe"))
        self.assertIn("-NonInteractive", command("powershell.exe"))

    def test_brackets_are_balanced(self):
        code = self.without_strings()
        for one, other in ("()", "{}", "[]"):
            self.assertEqual(code.count(one), code.count(other), one)

    def test_parameters_have_types(self):
        self.assertEqual([encode(each) for each in (True, 7, "x", VM("v"), ["a"], Moves([("a", "b")]))],
                         [{"b": True}, {"i": 7}, {"s": "=x"}, {"vm": "v"}, {"l": ["=a"]}, {"m": [["=a", "=b"]]}])
        with self.assertRaises(TypeError):
            encode({"a": 1})


if __name__ == "__main__":
    unittest.main()
