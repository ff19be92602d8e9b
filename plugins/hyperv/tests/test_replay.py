import json
import os
import tempfile
import unittest

from support import Request

from vmops_hyperv.errors import HyperVError
from vmops_hyperv.runner.replay import RecordingRunner, Redactor, ReplayRunner
from vmops_hyperv.steps import Cmdlet, Script

PAIRS = [
    {"step": "script probe()", "result": {"member": False}},
    {"step": "script probe()", "result": {"member": True}},
    {"step": 'Get-VHD -Path "a" -> Size', "error": {"code": "not_found", "message": "gone"}},
]


class ReplayTests(unittest.TestCase):
    def test_pairs_answer_in_their_order_and_the_last_one_stays(self):
        runner = ReplayRunner(PAIRS)
        self.assertEqual([runner.run(Script("probe"), Request())["member"] for _ in range(3)], [False, True, True])

    def test_recorded_errors_are_errors(self):
        with self.assertRaises(HyperVError) as caught:
            ReplayRunner(PAIRS).run(Cmdlet("Get-VHD", {"Path": "a"}, result=("Size",)), Request())
        self.assertEqual(caught.exception.code, "not_found")

    def test_what_nobody_recorded_is_an_error(self):
        with self.assertRaises(HyperVError) as caught:
            ReplayRunner(PAIRS).run(Script("inventory"), Request())
        self.assertIn("inventory", caught.exception.message)

    def test_a_recording_replays(self):
        recorder = RecordingRunner(ReplayRunner(PAIRS))
        recorder.run(Script("probe"), Request())
        with self.assertRaises(HyperVError):
            recorder.run(Cmdlet("Get-VHD", {"Path": "a"}, result=("Size",)), Request())
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "r.json")
            with open(path, "w", encoding="utf-8") as file:
                json.dump({"pairs": recorder.pairs}, file)
            again = ReplayRunner.load(path)
        self.assertEqual(again.run(Script("probe"), Request()), {"member": False})


class RedactorTests(unittest.TestCase):
    def test_names_and_addresses_are_replaced_each_by_one_text(self):
        redactor = Redactor(["HV-PROD-7", "CONTOSO"])
        text = ("hv-prod-7.contoso.example 10.1.2.3 00155D01020A fa:16:3e:00:00:09 S-1-5-21-11-22-33-1104 "
                "3F2504E0-4F89-11D3-9A0C-0305E82C3301")
        once, twice = redactor.text(text), redactor.text(text)
        self.assertEqual(once, twice)
        for part in ("hv-prod-7", "contoso", "10.1.2.3", "00155D01020A", "fa:16:3e:00:00:09", "1104", "3F2504E0"):
            self.assertNotIn(part.lower(), once.lower())

    def test_what_was_equal_stays_equal_and_what_was_not_does_not(self):
        redactor = Redactor()
        one = redactor.text("10.0.0.1 10.0.0.2 10.0.0.1").split()
        self.assertEqual(one[0], one[2])
        self.assertNotEqual(one[0], one[1])

    def test_sizes_versions_and_well_known_addresses_stay(self):
        for text in ("-SizeBytes 137438953472", "127.0.0.1", "S-1-5-32-578", "C:\\VMs\\root.vhdx", "RequestedState: 2"):
            self.assertEqual(Redactor().text(text), text)

    def test_values_are_walked(self):
        redactor = Redactor(["secret-host"])
        self.assertEqual(redactor.value({"a": ["secret-host", 5, None, {"b": "SECRET-HOST"}]}),
                         {"a": ["name-1", 5, None, {"b": "name-1"}]})


if __name__ == "__main__":
    unittest.main()
