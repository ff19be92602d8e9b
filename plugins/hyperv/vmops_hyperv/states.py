"""What `Msvm_ComputerSystem` calls its states, and what the protocol calls them (landscape, section D.4)."""

OFF, RUNNING, PAUSED, SAVED = "off", "running", "paused", "saved"
ERROR, TRANSITIONAL = "error", "transitional"

# EnabledState
ENABLED, DISABLED, SHUTTING_DOWN, OFFLINE, QUIESCE, STARTING = 2, 3, 4, 6, 9, 10

#: EnabledState → state of the protocol. Both generations of numbers for paused and saved.
ENABLED_STATES = {
    ENABLED: RUNNING,
    DISABLED: OFF,
    SHUTTING_DOWN: TRANSITIONAL,
    OFFLINE: SAVED,
    QUIESCE: PAUSED,
    STARTING: TRANSITIONAL,
    32768: PAUSED,
    32769: SAVED,
}
for _number in range(32770, 32781):     # starting, snapshotting, saving, stopping, pausing, resuming ...
    ENABLED_STATES[_number] = TRANSITIONAL
for _number in range(32781, 32793):     # the same, each "critical": the storage is gone
    ENABLED_STATES[_number] = ERROR

# RequestStateChange
REQUEST_ENABLE, REQUEST_DISABLE, REQUEST_SAVE, REQUEST_PAUSE, REQUEST_RESET = 2, 3, 6, 9, 11

REQUESTS = {RUNNING: REQUEST_ENABLE, OFF: REQUEST_DISABLE, SAVED: REQUEST_SAVE, PAUSED: REQUEST_PAUSE}

#: present state → what can be asked for from there (protocol, section 7.2). A machine in error may be tried.
TRANSITIONS = {
    OFF: frozenset((OFF, RUNNING)),
    RUNNING: frozenset((OFF, RUNNING, PAUSED, SAVED)),
    PAUSED: frozenset((OFF, RUNNING, PAUSED)),
    SAVED: frozenset((OFF, RUNNING, SAVED)),
    ERROR: frozenset((OFF, RUNNING)),
}


def state_of(enabled_state):
    """An unknown number is something going on: it is read again, never acted upon."""
    return ENABLED_STATES.get(enabled_state, TRANSITIONAL)
