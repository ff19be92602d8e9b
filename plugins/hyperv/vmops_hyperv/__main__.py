"""`python -m vmops_hyperv [--option NAME=VALUE ...] [--child | --socket PATH | METHOD]`"""

import sys


def main():
    try:
        import vmops_plugin
    except ImportError:
        sys.stderr.write("vmops_hyperv needs the package vmops_plugin (plugins/python) on its path.\n")
        sys.exit(1)
    from .host import HyperVHost

    forced, rest, words = {}, [], sys.argv[1:]
    while words:
        word = words.pop(0)
        if word == "--option" and words and "=" in words[0]:
            name, value = words.pop(0).split("=", 1)
            forced[name] = value
        else:
            rest.append(word)

    def make():
        return HyperVHost(forced)

    make.plugin_name = HyperVHost.plugin_name
    vmops_plugin.main(make, rest)


if __name__ == "__main__":
    main()
