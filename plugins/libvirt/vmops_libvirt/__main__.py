"""`python -m vmops_libvirt`, as the worker starts it."""

import vmops_plugin

from .host import LibvirtHost


def run() -> None:
    vmops_plugin.main(LibvirtHost)


if __name__ == "__main__":
    run()
