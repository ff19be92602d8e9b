"""Hyper-V hosts for vmops: a plugin that drives Hyper-V through its PowerShell module."""

__version__ = "1.0"
