#!/usr/bin/env python3
"""Draws the figures of results.json as PNG files: plot.py RESULTS DIRECTORY"""

import json
import os
import statistics
import sys

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402

COLOURS = {"plain": "#7f8c8d", "tuned": "#34495e", "parse": "#95a5a6", "split": "#5d6d7e", "vmopsd": "#d35400", "native": "#e59866", "python": "#2980b9",
           "cat": "#7f8c8d", "one_cat": "#34495e", "vmops": "#d35400"}  # fmt: skip


def median(rounds, *names):
    values = []
    for figures in rounds:
        for name in names:
            figures = figures[name]
        values.append(figures)
    return statistics.median(values)


def cells(measured, prefix):
    """Names and rounds of the cells that start with a prefix, in the order of measurement."""
    found = {cell.rpartition("/")[2]: rounds for cell, rounds in measured.items() if cell.startswith(prefix)}
    return {name: found[name] for name in COLOURS if name in found}


def bars(axes, values, title):
    drawn = axes.bar(list(values), list(values.values()), color=[COLOURS[name] for name in values])
    axes.bar_label(drawn, [format(value, ",.0f" if value >= 100 else ".3g") for value in values.values()], fontsize=8)
    axes.set_title(title, fontsize=9)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)


def draw_calls(measured, path):
    one, many = cells(measured, "read/1/"), cells(measured, "read/64/")
    if not one or not many:
        return
    figure, axes = pyplot.subplots(1, 4, figsize=(13, 3.2), layout="constrained")
    bars(axes[0], {name: median(rounds, "rate") for name, rounds in many.items()}, "calls/s, 64 in flight")
    bars(axes[1], {name: median(rounds, "p50_us") for name, rounds in one.items()}, "p50 µs, one in flight")
    bars(axes[2], {name: median(rounds, "p99_us") for name, rounds in one.items()}, "p99 µs, one in flight")
    cpu = {name: median(rounds, "cpu_us", "server") for name, rounds in many.items()}
    bars(axes[3], cpu, "server CPU µs per call, 64 in flight")
    axes[3].set_yscale("log")
    figure.savefig(path, dpi=130)


def draw_consoles(measured, path):
    if not measured:
        return
    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for name in ("cat", "one_cat", "vmops"):
        points = sorted((int(cell.partition("/")[0]), rounds) for cell, rounds in measured.items()
                        if cell.endswith("/" + name) and cell.partition("/")[0].isdigit())  # fmt: skip
        counts = [count for count, _ in points]
        if not counts:
            continue
        axes[0].plot(counts, [median(r, "rate") / 2**20 for _, r in points], "o-", label=name, color=COLOURS[name])
        axes[1].plot(counts, [median(r, "cpu_ms_per_mib") for _, r in points], "o-", label=name, color=COLOURS[name])
    for one, title in zip(axes, ("MiB/s captured", "CPU ms per MiB")):
        one.set(title=title, xlabel="consoles", xscale="log", ylim=(0, None))
        one.legend(fontsize=8)
        one.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=130)


def draw_growth(rows, name, path):
    if len(rows) < 2:
        return
    figure, axes = pyplot.subplots(1, 3, figsize=(12, 3.4), layout="constrained")
    counts = [row[name] for row in rows]
    axes[0].plot(counts, [row["rss"] / 2**20 for row in rows], "o-", color=COLOURS["vmopsd"])
    axes[1].plot(counts, [row["read"]["cpu_us"]["server"] for row in rows], "o-", color=COLOURS["vmopsd"])
    axes[2].plot(counts, [row["spawns_per_s"] for row in rows], "o-", color=COLOURS["vmopsd"])
    for one, title in zip(axes, ("RSS MiB", "worker CPU µs per read, 64 in flight", "spawns/s")):
        one.set(title=title, xlabel=name, xscale="log", ylim=(0, None))
        one.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=130)


def draw_clients(rows, path):
    if len(rows) < 2:
        return
    figure, axes = pyplot.subplots(1, 2, figsize=(8, 3.4), layout="constrained")
    counts = [row["clients"] for row in rows]
    axes[0].plot(counts, [row["rss"] / 2**20 for row in rows], "o-", color=COLOURS["vmopsd"])
    axes[1].plot(counts, [row["read"]["cpu_us"]["server"] for row in rows], "o-", color=COLOURS["vmopsd"])
    for one, title in zip(axes, ("RSS MiB", "worker CPU µs per read, 64 in flight")):
        one.set(title=title, xlabel="clients", xscale="log", ylim=(0, None))
        one.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=130)


def main():
    with open(sys.argv[1]) as file:
        results = json.load(file)
    draw_calls(results["calls"], os.path.join(sys.argv[2], "calls.png"))
    draw_consoles(results["consoles"], os.path.join(sys.argv[2], "consoles.png"))
    draw_growth(results["growth"], "hosts", os.path.join(sys.argv[2], "growth.png"))
    draw_clients(results.get("clients", []), os.path.join(sys.argv[2], "clients.png"))
    draw_growth(results.get("instances", []), "instances", os.path.join(sys.argv[2], "instances.png"))


if __name__ == "__main__":
    main()
