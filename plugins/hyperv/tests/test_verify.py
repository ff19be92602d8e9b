"""The scripts for people with a Hyper-V host, tried on the modelled one."""

import contextlib
import io
import json
import os
import re
import unittest
from unittest import mock

from support import PLUGIN

import record
import verify


class VerifyTests(unittest.TestCase):
    def setUp(self):
        patch = mock.patch("vmops_hyperv.executor.FIRST_POLL", 0.01)
        patch.start()
        self.addCleanup(patch.stop)

    def test_every_check_passes_on_the_model_or_says_why_not(self):
        out = io.StringIO()
        results = verify.run(verify.parser().parse_args(["--runner", "model"]), out=out)
        self.assertEqual([each for each in results if each["result"] == "failed"], [], out.getvalue())
        self.assertEqual([each["number"] for each in results if each["result"] == "skipped"], [1, 27, 29])

    def test_a_host_that_does_something_else_fails_the_check(self):
        from vmops_hyperv.runner.model import Fault, ModelRunner
        model = ModelRunner()
        model.faults.append(Fault("Set-VMComPort", error="internal"))
        out = io.StringIO()
        results = verify.run(verify.parser().parse_args(["--runner", "model", "--only", "8", "--only", "4"]), model,
                             model.pipes, out)
        self.assertEqual([each["result"] for each in results], ["passed", "failed"])
        self.assertIn("1 passed, 1 failed", out.getvalue())

    @unittest.skipIf(os.name == "nt", "here it is possible")
    def test_elsewhere_than_on_windows_they_say_what_they_are_for(self):
        for main in (verify.main, record.main):
            said = io.StringIO()
            with contextlib.redirect_stderr(said):
                self.assertEqual(main([]), 2)
            self.assertIn("on Windows", said.getvalue())

    def test_checks_and_readme_have_the_same_numbers(self):
        with open(os.path.join(PLUGIN, "README.md"), encoding="utf-8") as file:
            text = file.read().split("## What nobody has tried on Windows")[1]
        listed = [int(number) for number in re.findall(r"^(\d+)\. ", text, re.MULTILINE)]
        self.assertEqual(listed, [number for number, _, _ in verify.CHECKS])
        self.assertEqual(listed, list(range(1, len(listed) + 1)))

    def test_a_recording_names_nobody(self):
        out = io.StringIO()
        with contextlib.redirect_stderr(io.StringIO()):
            record.main(["--runner", "model", "--only", "3", "--only", "10", "--name", "Private"], out)
        recording = json.loads(out.getvalue())
        self.assertGreater(len(recording["pairs"]), 20)
        self.assertTrue(any("RequestStateChange" in each["step"] for each in recording["pairs"]))
        for name in ("hyperv1", "NODE"):
            self.assertNotIn(name, out.getvalue())


if __name__ == "__main__":
    unittest.main()
