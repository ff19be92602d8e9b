import unittest

from support import UUID, machine

from vmops_hyperv.events import MIGRATED, Tracker

OTHER = UUID[:-1] + "2"


class EventTests(unittest.TestCase):
    def setUp(self):
        self.told = []
        self.tracker = Tracker(lambda uuid, incarnation, type, reason: self.told.append(
            (type, reason) if reason else type))

    def see(self, state, **more):
        self.tracker.see(machine(state, **more), self.tracker.ticket())

    def walk(self, *numbers):
        for number in numbers:
            self.see(number)
        return self.told

    def test_what_is_seen_first_is_no_event(self):
        self.assertEqual(self.walk(2), [])

    def test_every_change_has_its_event(self):
        self.assertEqual(self.walk(3, 2, 9, 2, 6, 2, 3, 2, 32781, 2), [
            "started", "paused", "resumed", "saved", "resumed", ("stopped", "guest"), "started", "crashed", "started"])

    def test_seeing_the_same_again_is_none(self):
        self.assertEqual(self.walk(3, 3, 2, 2, 2), ["started"])

    def test_on_the_way_nothing_is_told(self):
        self.assertEqual(self.walk(3, 32770, 10, 2, 32774, 4, 3), ["started", ("stopped", "guest")])

    def test_the_operation_that_stops_it_is_the_reason(self):
        self.see(2)
        self.tracker.intend(machine(2).id, "requested")
        self.see(3)
        self.tracker.intend(machine(2).id, None)
        self.see(2)
        self.see(3)
        self.assertEqual(self.told, [("stopped", "requested"), "started", ("stopped", "guest")])

    def test_an_older_look_does_not_overrule_a_newer_one(self):
        self.see(3)
        old = self.tracker.ticket()
        self.see(2)
        self.tracker.see(machine(3), old)
        self.assertEqual(self.told, ["started"])
        self.tracker.see_all([], old)
        self.assertEqual(self.told, ["started"])

    def test_a_machine_that_is_in_no_inventory_is_gone(self):
        self.see(3)
        self.tracker.see_all([], self.tracker.ticket())
        self.assertEqual(self.told, ["removed"])
        self.tracker.see_all([], self.tracker.ticket())
        self.assertEqual(self.told, ["removed"])

    def test_a_machine_that_goes_while_it_runs_was_stopped_first(self):
        self.see(2)
        self.tracker.gone(machine(2).id)
        self.assertEqual(self.told, [("stopped", "host"), "removed"])

    def test_a_machine_that_moves_is_not_removed(self):
        self.see(2)
        self.tracker.intend(machine(2).id, MIGRATED)
        self.tracker.see_all([], self.tracker.ticket())
        self.assertEqual(self.told, ["migrated-out"])

    def test_a_machine_that_arrives(self):
        self.tracker.see_all([machine(2)], self.tracker.ticket(), {UUID})
        self.tracker.see_all([machine(2)], self.tracker.ticket(), {UUID})
        self.assertEqual(self.told, ["migrated-in"])

    def test_an_uptime_that_goes_back_is_a_reboot(self):
        for uptime in (100, 90000, 91000, 500, 1000):
            self.see(2, uptime_ms=uptime)
        self.assertEqual(self.told, ["rebooted"])

    def test_a_reset_that_was_asked_for_is_not(self):
        self.see(2, uptime_ms=90000)
        self.tracker.intend(machine(2).id, "reset")
        self.see(2, uptime_ms=5)
        self.assertEqual(self.told, [])

    def test_states_of_machines_that_nobody_knows_are_not_events(self):
        self.assertFalse(self.tracker.see_state("unknown", 2))
        self.see(3)
        self.assertTrue(self.tracker.see_state(machine(3).id, 2))
        self.assertEqual(self.told, ["started"])

    def test_machines_have_their_own_history(self):
        self.see(3)
        self.see(2, uuid=OTHER, id="other")
        self.see(2)
        self.see(3, uuid=OTHER, id="other")
        self.assertEqual(self.told, ["started", ("stopped", "guest")])


if __name__ == "__main__":
    unittest.main()
