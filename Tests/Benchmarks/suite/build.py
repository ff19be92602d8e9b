"""Everything that is measured, built from the sources of this tree."""

import os
import shutil
import subprocess
import sys
import time

from .processes import Failure, note, output_of

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ROOT = os.path.dirname(os.path.dirname(HERE))

BROKER_LIBRARIES = ["-lrabbitmq"]
ECHO_LIBRARIES = ["-lrabbitmq", "-ljansson"]
PROGRAMS = {
    "load": (["load.c", "load_options.c", "load_result.c", "replies.c", "request.c", "wire.c"], BROKER_LIBRARIES),
    "echo_plain": (["echo_plain.c", "echo.c", "wire.c"], ECHO_LIBRARIES),
    "echo_tuned": (["echo_tuned.c", "echo.c", "wire.c"], ECHO_LIBRARIES),
    "await_queue": (["await_queue.c", "wire.c"], BROKER_LIBRARIES),
    "producer": (["producer.c"], []),
    "one_cat": (["one_cat.c"], []),
}


def build_c(directory):
    """The C programs, optimised as a distribution would."""
    compiler = os.environ.get("CC") or "cc"
    if not shutil.which(compiler):
        raise Failure("no C compiler: run 'make setup', or: apt-get install gcc librabbitmq-dev libjansson-dev")
    flags = ["-std=gnu11", "-O2", "-g", "-Wall", "-Wextra"]
    for name, (sources, libraries) in PROGRAMS.items():
        output = os.path.join(directory, name)
        files = [os.path.join(HERE, source) for source in sources]
        headers = [os.path.join(HERE, f) for f in os.listdir(HERE) if f.endswith(".h")]
        if os.path.exists(output) and os.path.getmtime(output) > max(map(os.path.getmtime, files + headers)):
            continue
        note("cc %s" % name)
        output_of([compiler, *flags, *files, "-o", output, *libraries])


def build_swift(products, static):
    """Release builds; returns the path of each product. What does not build is left out, with a line that says so."""
    base = ["swift", "build", "--package-path", ROOT, "-c", "release"] + (["--static-swift-stdlib"] if static else [])
    if not shutil.which("swift"):
        note("no Swift toolchain in PATH: vmopsd and vmops-bench are left out")
        return {}
    paths = {}
    for product in products:
        note("swift build -c release --product %s" % product)
        if subprocess.run(base + ["--product", product], stdout=sys.stderr).returncode != 0:
            note("%s does not build and is left out" % product)
            continue
        paths[product] = os.path.join(output_of(base + ["--show-bin-path"]), product)
    return paths


def build_times(directory):
    """Seconds of a first debug build of a clone, tests included, and of one after touching a file of a leaf target."""
    clone = os.path.join(directory, "clone")
    shutil.rmtree(clone, ignore_errors=True)
    output_of(["git", "clone", "--quiet", ROOT, clone])
    times = {}
    for name, touched in (("clean", None), ("incremental", "Sources/vmopsctl/Terminal.swift")):
        if touched:
            with open(os.path.join(clone, touched), "a") as file:
                file.write("\n")
        note("swift build --build-tests, %s" % name)
        begun = time.monotonic()
        output_of(["swift", "build", "--package-path", clone] + ([] if touched else ["--build-tests"]))
        times[name] = time.monotonic() - begun
    shutil.rmtree(clone, ignore_errors=True)
    return times


def python_environment(directory):
    """An interpreter that has oslo.messaging and Matplotlib: $VMOPS_PYTHON, or an environment made here once."""
    given = os.environ.get("VMOPS_PYTHON")
    if given:
        return given
    python = os.path.join(directory, "python", "bin", "python")
    marker = os.path.join(directory, "python", "complete")
    if not os.path.exists(marker):
        note("creating the Python environment of the benchmark")
        output_of([sys.executable, "-m", "venv", "--clear", os.path.join(directory, "python")])
        output_of([python, "-m", "pip", "install", "--quiet", "-r", os.path.join(HERE, "requirements.txt")])
        open(marker, "w").close()
    return python
