import functools
import unittest

from support import Clock, Request

from vmops_hyperv import errors
from vmops_hyperv.errors import HyperVError
from vmops_hyperv.executor import Executor, Unhurried
from vmops_hyperv.steps import VM, Cmdlet, File, Invoke, Script

JOB = {"found": True, "value": 4096, "job": {"class": "Msvm_ConcreteJob", "id": "J"}}


class Runner:
    """Answers by the beginning of the step's text; notes what it was asked."""

    def __init__(self, **answers):
        self.answers, self.asked = answers, []

    def run(self, step, request):
        request.check()
        self.asked.append(step.text())
        for start, answer in self.answers.items():
            if step.text().replace("-", "_").startswith(start) or getattr(step, "name", "") == start:
                answer = answer.pop(0) if isinstance(answer, list) else answer
                if isinstance(answer, Exception):
                    raise answer
                return dict(answer)
        return {}


def invoke():
    return Invoke("Msvm_ComputerSystem", "RequestStateChange", VM("v"), {"RequestedState": 2})


class ExecutorTests(unittest.TestCase):
    def executor(self, **answers):
        clock = Clock()

        def sleep(seconds):
            clock.now += seconds

        runner = Runner(**answers)
        return Executor(runner, functools.partial(Unhurried, sleep=sleep)), runner

    def test_the_machine_that_a_step_made_is_known_to_the_later_ones(self):
        executor, runner = self.executor(New_VM={"Id": "ABC"})
        executor.run([Cmdlet("New-VM", bind=True), Script("stripDevices", vm=VM(VM.NEW)),
                      Cmdlet("Get-VM", source=Cmdlet("Get-VM", {"VM": VM(VM.NEW)}))], Request())
        self.assertEqual(runner.asked[1:], ["script stripDevices(vm: <abc>)", "Get-VM -VM <abc> | Get-VM"])

    def test_a_failure_undoes_what_was_done_newest_first_and_is_raised(self):
        failure = HyperVError("busy", "no")
        executor, runner = self.executor(New_VM={"Id": "A"}, Set_VM=failure)
        plan = [
            File("copy", "a", "b").options(undo=[File("remove", "b")]),
            Cmdlet("New-VM", bind=True).options(undo=[Cmdlet("Remove-VM", {"VM": VM(VM.NEW)})]),
            Cmdlet("Set-VM", {"VM": VM(VM.NEW)}).options(undo=[File("remove", "c")]),
            Cmdlet("Never"), File("removeTree", "w").options(always=True),
        ]
        with self.assertRaises(HyperVError) as caught:
            executor.run(plan, Request())
        self.assertIs(caught.exception, failure)
        self.assertEqual(runner.asked[3:], ['file removeTree "w"', 'file remove "c"', "Remove-VM -VM <a>",
                                            'file remove "b"'])

    def test_a_machine_that_was_never_made_is_not_undone(self):
        executor, runner = self.executor(New_VM=HyperVError("resource_exhausted", "no"))
        with self.assertRaises(HyperVError):
            executor.run([Cmdlet("New-VM", bind=True).options(undo=[Cmdlet("Remove-VM", {"VM": VM(VM.NEW)})])], Request())
        self.assertEqual(runner.asked, ["New-VM as @new"])

    def test_errors_that_a_step_tolerates_do_not_matter(self):
        executor, runner = self.executor(Remove_VM=HyperVError("not_found", "gone"))
        executor.run([Cmdlet("Remove-VM").options(tolerate=("not_found",)), Cmdlet("Next")], Request())
        self.assertEqual(runner.asked, ["Remove-VM", "Next"])

    def test_undoing_goes_on_when_it_fails(self):
        executor, runner = self.executor(Bad=HyperVError("internal", "x"), Undo1=HyperVError("internal", "y"))
        with self.assertRaises(HyperVError) as caught:
            executor.run([Cmdlet("One").options(undo=[Cmdlet("Undo2")]), Cmdlet("Two").options(undo=[Cmdlet("Undo1")]),
                          Cmdlet("Bad")], Request())
        self.assertEqual(caught.exception.message, "x")
        self.assertEqual(runner.asked[-1], "Undo2")

    def test_return_values_that_are_errors_are_raised(self):
        for value, code in ((32775, "invalid_state"), (32778, "resource_exhausted")):
            executor, _ = self.executor(Msvm={"found": True, "value": value})
            with self.assertRaises(HyperVError) as caught:
                executor.run([invoke()], Request())
            self.assertEqual(caught.exception.code, code)

    def test_jobs_are_waited_for_with_growing_pauses(self):
        running = {"state": errors.JOB_RUNNING, "percent": 5}
        executor, _ = self.executor(Msvm=JOB, job=[running] * 6 + [{"state": errors.JOB_COMPLETED}])
        request = Request(Clock())
        told = []
        executor.run([invoke()], request, told.append)
        self.assertEqual(request.waits, [0.1, 0.2, 0.4, 0.8, 1.0, 1.0])
        self.assertEqual(told, [5] * 6)

    def test_jobs_that_fail_are_errors_and_warnings_are_not(self):
        executor, _ = self.executor(Msvm=JOB, job=[{"state": 32768}])
        executor.run([invoke()], Request())
        executor, _ = self.executor(Msvm=JOB, job=[{"state": 10, "error_code": 32774}])
        with self.assertRaises(HyperVError) as caught:
            executor.run([invoke()], Request())
        self.assertEqual(caught.exception.code, "busy")

    def test_a_job_that_is_forgotten_is_done(self):
        executor, _ = self.executor(Msvm=JOB, job={"found": False})
        executor.run([invoke()], Request())

    def test_a_cancelled_request_ends_its_job_and_waits_for_that(self):
        running = {"state": errors.JOB_RUNNING}
        executor, runner = self.executor(Msvm=JOB, job=[running, running, running, {"state": errors.JOB_KILLED}])
        with self.assertRaises(HyperVError) as caught:
            executor.run([invoke()], Request(Clock(), cancel_after=1))
        self.assertEqual(caught.exception.code, "cancelled")
        self.assertEqual(sum("endJob" in each for each in runner.asked), 1)

    def test_a_job_that_was_done_when_it_was_to_be_ended_is_a_success(self):
        running = {"state": errors.JOB_RUNNING}
        executor, _ = self.executor(Msvm=JOB, job=[running, {"state": errors.JOB_COMPLETED}])
        executor.run([invoke()], Request(Clock(), cancel_after=1))

    def test_a_late_request_says_timeout(self):
        executor, _ = self.executor(Msvm=JOB, job=[{"state": 4}] * 50 + [{"state": 9}])
        with self.assertRaises(HyperVError) as caught:
            executor.run([invoke()], Request(Clock(), deadline=2.0))
        self.assertEqual(caught.exception.code, "timeout")


if __name__ == "__main__":
    unittest.main()
