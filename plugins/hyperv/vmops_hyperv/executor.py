"""Carries out plans: step after step, jobs waited for, undone when a step fails."""

import logging
import time

from . import errors
from .errors import HyperVError
from .steps import VM, Cmdlet, Invoke, Script

log = logging.getLogger("vmops_plugin.hyperv")

FIRST_POLL, LAST_POLL = 0.1, 1.0        # seconds between looks at a job (section D.4)
STOPPED = ("cancelled", "timeout")


class Unhurried:
    """What steps are given that have to be carried out whatever became of the request: undoing, cleaning up."""

    deadline = None
    is_stopped = False

    def __init__(self, seconds=120, sleep=time.sleep):
        self._left, self._sleep = seconds, sleep

    def remaining(self):
        return self._left

    def check(self):
        pass

    def wait(self, seconds):
        self._sleep(seconds)

    def on_stop(self, action):
        pass

    def progress(self, **members):
        pass


def stop_code(error):
    """The protocol's code of an error that stopped a request, whoever raised it."""
    return getattr(error, "code", None)


class Executor:
    def __init__(self, runner, unhurried=Unhurried):
        self.runner, self.unhurried = runner, unhurried

    def run(self, plan, request, progress=None):
        """The results of the steps. When one fails: the undo steps of those before it, newest first, and all steps that
        run always; then the error. A step's own undo runs too: it may have been carried out in part."""
        results, failure, undo, bound = [], None, [], None
        for step in plan:
            if bound is not None:
                step = step.bound(bound)
            if failure is not None and not step.always:
                continue
            patient = step.always or failure is not None
            try:
                if not patient:
                    request.check()
                undo.append((step, len(results)))
                result = self.step(step, self.unhurried() if patient else request, progress)
                if isinstance(step, Cmdlet) and step.bind:
                    bound = str(result["Id"]).lower()
                results.append(result)
            except Exception as error:
                if stop_code(error) in step.tolerate:
                    log.debug("tolerated: %s: %s", step.text(), error)
                    results.append({})
                    continue
                if failure is None:
                    failure = error
                else:
                    log.warning("after a failure: %s: %s", step.text(), error)
        if failure is not None:
            self._undo(undo, bound)
            raise failure
        return results

    def _undo(self, done, bound):
        for step, _ in reversed(done):
            for each in step.undo:
                if bound is not None:
                    each = each.bound(bound)
                elif VM.NEW in each.text():
                    continue        # it was never made, or nobody knows its id; the next definition finds it
                try:
                    self.step(each, self.unhurried())
                except Exception as error:
                    if stop_code(error) != "not_found":
                        log.warning("undoing: %s: %s", each.text(), error)

    def step(self, step, request, progress=None):
        result = self.runner.run(step, request)
        if isinstance(step, Invoke):
            self._finish(step, result, request, progress)
        return result

    def _finish(self, step, result, request, progress):
        if result.get("found") is False:
            return
        value = result.get("value")
        if value == errors.JOB_STARTED:
            if result.get("job"):
                self.wait(step.text(), result["job"], request, progress)
            elif step.cim_class != "Msvm_ShutdownComponent":
                # A job that nobody was told of cannot be waited for; the state tells.
                log.debug("%s: a job without a name", step.text())
        elif value != errors.DONE and step.cim_class != "Msvm_ShutdownComponent":
            raise errors.return_error(value, step.text())

    def wait(self, what, job, request, progress=None):
        """Until the job has ended. A request that is stopped ends it first, and waits for that."""
        delay, ending = FIRST_POLL, None
        while True:
            state = self.runner.run(Script("job", cim_class=job["class"], id=job["id"]), self.unhurried())
            if state.get("found") is False:
                return              # Hyper-V forgets jobs that are done after a while
            if state["state"] not in errors.JOB_UNFINISHED:
                failure = errors.job_error(state, what)
                if failure is not None:
                    raise ending or failure
                return              # too late to stop: it is done
            if progress:
                progress(state.get("percent") or 0)
            try:
                if ending is None:
                    request.wait(delay)
                else:
                    self.unhurried().wait(delay)
            except Exception as error:
                if stop_code(error) not in STOPPED:
                    raise
                ending = error
                self.runner.run(Script("endJob", cim_class=job["class"], id=job["id"]), self.unhurried())
            delay = min(delay * 2, LAST_POLL)
