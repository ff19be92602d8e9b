import unittest

import support  # noqa: F401
from vmops_plugin.errors import BY_CODE

from vmops_hyperv import errors
from vmops_hyperv.base import as_plugin_error

#: Landscape, section D.4, row by row.
RETURN_VALUES = [
    (32768, "internal"), (32769, "unauthorized"), (32770, "unimplemented"), (32771, "internal"), (32772, "timeout"),
    (32773, "invalid_argument"), (32774, "busy"), (32775, "invalid_state"), (32776, "invalid_argument"),
    (32777, "unavailable"), (32778, "resource_exhausted"), (32779, "not_found"), (99999, "internal"),
]
JOB_STATES = [
    ({"state": 7}, None), ({"state": 32768}, None), ({"state": 8}, "cancelled"), ({"state": 9}, "cancelled"),
    ({"state": 10}, "internal"), ({"state": 10, "error_code": 32775}, "invalid_state"),
    ({"state": 10, "error_code": 32778}, "resource_exhausted"),
    ({"state": 10, "error_code": 0x80070005}, "unauthorized"),
    ({"state": 10, "error_code": 0x80070070}, "resource_exhausted"),
    ({"state": 10, "description": "cannot open the file (0x80070020)."}, "busy"), ({"state": 77}, "internal"),
]
RECORDS = [
    ({"id": "InvalidParameter,Microsoft.HyperV.PowerShell.Commands.GetVM", "category": "InvalidArgument"},
     "invalid_argument"),
    ({"id": "VmNotFound", "category": "ObjectNotFound"}, "not_found"),
    ({"id": "ObjectNotFound,X", "category": "ObjectNotFound"}, "not_found"),
    ({"id": "AccessDenied,X", "category": "PermissionDenied"}, "unauthorized"),
    ({"id": "InvalidState,X", "category": "NotSpecified"}, "invalid_state"),
    ({"id": "OperationFailed,X", "category": "NotSpecified"}, "internal"),
    ({"id": "OperationFailed,X", "message": "there is not enough space on the disk. (0x80070070)."},
     "resource_exhausted"),
    ({"id": "OperationFailed,X", "message": "used by another process. (0x80070020)."}, "busy"),
    ({"id": "OperationFailed,X", "message": "the file exists. (0x80070050)."}, "already_exists"),
    ({"id": "OutOfMemory,X"}, "resource_exhausted"),
    ({"id": "Unknown", "category": "OperationTimeout"}, "timeout"),
    ({"id": "Unknown", "category": "NotImplemented"}, "unimplemented"),
    ({"id": "Unknown", "category": "ResourceUnavailable"}, "unavailable"),
    ({"id": "CommandNotFoundException", "category": "ObjectNotFound"}, "unavailable"),
    ({"id": "Unknown", "hresult": -2147024891}, "unauthorized"),      # 0x80070005
    ({"id": "Unknown", "hresult": 0x8007000E}, "resource_exhausted"),
    ({"id": "HRESULT 0x80041002,GetCimInstance", "category": "ObjectNotFound"}, "not_found"),
    ({}, "internal"),
]


class ErrorTests(unittest.TestCase):
    def test_return_values_become_codes(self):
        for value, code in RETURN_VALUES:
            with self.subTest(value=value):
                self.assertEqual(errors.return_error(value, "x").code, code)

    def test_every_return_value_of_the_table_is_tried(self):
        self.assertEqual({value for value, _ in RETURN_VALUES} - {99999}, set(errors.RETURN_CODES))

    def test_job_states_become_codes(self):
        for job, code in JOB_STATES:
            with self.subTest(job=job):
                error = errors.job_error(job, "x")
                self.assertEqual(error.code if error else None, code)

    def test_no_job_state_is_both_done_and_under_way(self):
        self.assertFalse(errors.JOB_DONE & errors.JOB_UNFINISHED)
        self.assertIn(errors.JOB_RUNNING, errors.JOB_UNFINISHED)

    def test_error_records_become_codes(self):
        for record, code in RECORDS:
            with self.subTest(record=record):
                self.assertEqual(errors.record_error(record, "x").code, code)

    def test_all_codes_are_codes_of_the_protocol(self):
        self.assertEqual(set(errors.CODES), set(BY_CODE))
        named = {code for code, _ in errors.RETURN_CODES.values()} | set(errors.HRESULTS.values())
        named |= set(errors.CATEGORIES.values()) | set(errors.IDENTIFIERS.values())
        self.assertLessEqual(named, set(errors.CODES))

    def test_errors_keep_their_parts_on_the_way_to_the_worker(self):
        error = as_plugin_error(errors.HyperVError("invalid_state", "it is off", {"state": "off"}))
        self.assertEqual(error.to_json(), {
            "code": "invalid_state", "message": "it is off", "retryable": False, "details": {"state": "off"}})
        self.assertTrue(as_plugin_error(errors.HyperVError("busy", "x")).retryable)


if __name__ == "__main__":
    unittest.main()
