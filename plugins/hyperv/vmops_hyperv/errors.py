"""Errors of the plugin protocol, and how Hyper-V's own become them.

Three sources speak: return values of CIM methods, jobs that ended badly, and error records of cmdlets. The tables are
those of the host plugin landscape, section D.4; `tests/test_errors.py` goes through every row.
"""

import re

CODES = (
    "not_found", "already_exists", "invalid_state", "invalid_argument", "unimplemented", "unauthorized", "busy",
    "resource_exhausted", "timeout", "cancelled", "unavailable", "conflict", "internal",
)

#: Worth a repetition by themselves.
RETRYABLE = frozenset(("busy", "unavailable", "timeout"))


class HyperVError(Exception):
    """An answer to a request that could not be carried out; `code` is one of `CODES`."""

    def __init__(self, code, message, details=None, retryable=None):
        assert code in CODES, code
        super().__init__(message)
        self.code = code
        self.message = message[:4096]
        self.details = details or {}
        self.retryable = code in RETRYABLE if retryable is None else retryable

    def __repr__(self):
        return "HyperVError(%s: %s)" % (self.code, self.message)


# Return values of CIM methods (section D.4).
DONE = 0
JOB_STARTED = 4096
INVALID_STATE = 32775
GUEST_NOT_READY = 32780
MACHINE_LOCKED = 32781
SHUTDOWN_IN_PROGRESS = 32782

RETURN_CODES = {
    32768: ("internal", "the operation failed"),
    32769: ("unauthorized", "access denied"),
    32770: ("unimplemented", "not supported"),
    32771: ("internal", "the status is unknown"),
    32772: ("timeout", "Hyper-V gave up waiting"),
    32773: ("invalid_argument", "invalid parameter"),
    32774: ("busy", "the system is in use"),
    32775: ("invalid_state", "invalid state for this operation"),
    32776: ("invalid_argument", "incorrect data type"),
    32777: ("unavailable", "the system is not available"),
    32778: ("resource_exhausted", "out of memory"),
    32779: ("not_found", "file not found"),
}

# States of a job (Msvm_ConcreteJob.JobState).
JOB_NEW, JOB_STARTING, JOB_RUNNING, JOB_SUSPENDED, JOB_SHUTTING_DOWN = 2, 3, 4, 5, 6
JOB_COMPLETED, JOB_TERMINATED, JOB_KILLED, JOB_EXCEPTION = 7, 8, 9, 10
JOB_SERVICE, JOB_QUERY_PENDING, JOB_WITH_WARNINGS = 11, 12, 32768

#: Still at it.
JOB_UNFINISHED = frozenset((JOB_NEW, JOB_STARTING, JOB_RUNNING, JOB_SUSPENDED, JOB_SHUTTING_DOWN, JOB_SERVICE,
                            JOB_QUERY_PENDING))
JOB_DONE = frozenset((JOB_COMPLETED, JOB_WITH_WARNINGS))


def return_error(value, what, details=None):
    """The error for a return value that is neither `DONE` nor `JOB_STARTED`."""
    code, meaning = RETURN_CODES.get(value, ("internal", "unknown return value"))
    return HyperVError(code, "%s: %s (%d)" % (what, meaning, value), details)


def job_error(job, what):
    """The error for a job that has ended, or `None` when it did what it should."""
    state = job.get("state")
    if state in JOB_DONE:
        return None
    text = job.get("description") or job.get("status") or ""
    if state in (JOB_TERMINATED, JOB_KILLED):
        return HyperVError("cancelled", "%s: the job was ended%s" % (what, ": " + text if text else ""))
    if state == JOB_EXCEPTION:
        number = job.get("error_code")
        if number in RETURN_CODES:
            code, meaning = RETURN_CODES[number]
            return HyperVError(code, "%s: %s (%d)" % (what, text or meaning, number))
        code = _code_of_hresult(number) or _code_of_text(text) or "internal"
        return HyperVError(code, "%s: %s" % (what, text or "the job failed"))
    return HyperVError("internal", "%s: the job is in the unknown state %s" % (what, state))


# Windows error numbers, as HRESULT_FROM_WIN32 makes them, and a few that are Hyper-V's own.
HRESULTS = {
    0x80070002: "not_found",            # file
    0x80070003: "not_found",            # path
    0x80070005: "unauthorized",
    0x8007000E: "resource_exhausted",   # memory
    0x80070015: "unavailable",          # not ready
    0x80070020: "busy",                 # sharing violation
    0x80070021: "busy",                 # lock violation
    0x80070027: "resource_exhausted",   # disk full, older handle
    0x80070032: "unimplemented",
    0x80070035: "unavailable",          # network path
    0x80070050: "already_exists",
    0x80070057: "invalid_argument",
    0x80070070: "resource_exhausted",   # disk full
    0x8007007B: "invalid_argument",     # name syntax
    0x800700AA: "busy",
    0x800700B7: "already_exists",
    0x80070490: "not_found",            # element
    0x800704C7: "cancelled",
    0x800705AA: "resource_exhausted",   # system resources
    0x800705B4: "timeout",
    0x800706BA: "unavailable",          # RPC server
    0x80041002: "not_found",            # WMI object
    0x80041003: "unauthorized",         # WMI access
    0x8004100E: "unavailable",          # WMI namespace: no Hyper-V
}

# Categories of PowerShell error records.
CATEGORIES = {
    "ObjectNotFound": "not_found",
    "ResourceExists": "already_exists",
    "InvalidArgument": "invalid_argument",
    "InvalidData": "invalid_argument",
    "InvalidType": "invalid_argument",
    "NotImplemented": "unimplemented",
    "PermissionDenied": "unauthorized",
    "SecurityError": "unauthorized",
    "AuthenticationError": "unauthorized",
    "ResourceBusy": "busy",
    "DeviceError": "internal",
    "DeadlockDetected": "busy",
    "LimitsExceeded": "resource_exhausted",
    "QuotaExceeded": "resource_exhausted",
    "OperationTimeout": "timeout",
    "OperationStopped": "cancelled",
    "ConnectionError": "unavailable",
    "ResourceUnavailable": "unavailable",
    "NotInstalled": "unavailable",
}

# The first part of FullyQualifiedErrorId, as the Hyper-V module writes it.
IDENTIFIERS = {
    "AccessDenied": "unauthorized",
    "InvalidParameter": "invalid_argument",
    "InvalidState": "invalid_state",
    "ObjectNotFound": "not_found",
    "ObjectInUse": "busy",
    "OutOfMemory": "resource_exhausted",
    "TimeOut": "timeout",
    "NotSupported": "unimplemented",
    "CommandNotFoundException": "unavailable",
    "VmNotFound": "not_found",          # our own, from the bridge
    "CimNotFound": "not_found",
    "NotAllowed": "invalid_argument",
    "FileNotFound": "not_found",
    "FileExists": "already_exists",
}


def _code_of_hresult(number):
    if not isinstance(number, int):
        return None
    return HRESULTS.get(number & 0xFFFFFFFF)


def _code_of_text(text):
    """Hyper-V puts the number that says why into the text of a general error."""
    for found in re.findall(r"\b0x([0-9A-Fa-f]{8})\b", text or ""):
        code = HRESULTS.get(int(found, 16))
        if code:
            return code
    return None


def record_error(record, what):
    """The error for a PowerShell error record: `id`, `category`, `hresult`, `message`."""
    text = (record.get("message") or "").strip()
    identifier = (record.get("id") or "").split(",")[0]
    code = (
        (IDENTIFIERS.get(identifier) if identifier in ("VmNotFound", "CimNotFound", "NotAllowed") else None)
        or _code_of_text(text)
        or _code_of_hresult(record.get("hresult"))
        or IDENTIFIERS.get(identifier)
        or CATEGORIES.get(record.get("category") or "")
        or "internal"
    )
    return HyperVError(code, "%s: %s" % (what, text or identifier or "failed"))
