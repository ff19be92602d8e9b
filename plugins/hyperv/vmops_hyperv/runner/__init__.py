"""Runners carry out the steps of plans: in PowerShell, from a recording, or on a modelled host."""
