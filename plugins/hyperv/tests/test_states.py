import unittest

import support  # noqa: F401
from vmops_hyperv import states


class StateTests(unittest.TestCase):
    def test_enabled_states_become_states_of_the_protocol(self):
        expected = {2: "running", 3: "off", 4: "transitional", 6: "saved", 9: "paused", 10: "transitional",
                    32768: "paused", 32769: "saved"}
        expected.update({number: "transitional" for number in range(32770, 32781)})
        expected.update({number: "error" for number in range(32781, 32793)})
        for number, state in expected.items():
            self.assertEqual(states.state_of(number), state, number)

    def test_shutting_down_is_not_off(self):
        self.assertNotEqual(states.state_of(4), "off")

    def test_unknown_states_are_something_going_on(self):
        for number in (0, 1, 5, 40000, None):
            self.assertEqual(states.state_of(number), "transitional")


if __name__ == "__main__":
    unittest.main()
