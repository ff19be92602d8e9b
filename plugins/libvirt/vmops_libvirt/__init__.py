"""Hypervisor hosts of libvirt for vmops."""
