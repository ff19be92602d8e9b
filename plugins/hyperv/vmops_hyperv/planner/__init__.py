"""From a primitive and the observed state to steps; pure functions that touch nothing.

A plan is a list of steps (`vmops_hyperv.steps`). An empty one says that everything is there already. What cannot be is
a `HyperVError`.
"""
