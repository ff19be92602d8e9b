"""Tables for people; the same figures go to results.json."""

import statistics

from . import calls, consoles
from .goals import MIB, verdicts


def table(head, rows):
    """A Markdown table, so that it can be pasted into docs/performance.md as it is."""
    cells = [head] + rows
    widths = [max(len(str(row[column])) for row in cells) for column in range(len(head))]

    def line(row):
        padded = [str(cell).ljust(width) if i == 0 else str(cell).rjust(width)
                  for i, (cell, width) in enumerate(zip(row, widths))]  # fmt: skip
        return "| %s |" % " | ".join(padded)

    rule = "|%s|" % "|".join("-" * (w + 2) if i == 0 else "-" * (w + 1) + ":" for i, w in enumerate(widths))
    return "\n".join([line(head), rule] + [line(row) for row in rows])


def show(value, pattern="%.0f", scale=1.0):
    return "–" if value is None else pattern % (value * scale)


def call_table(results, row, in_flight, titles):
    measured = results["calls"]
    base = "%s/%d/plain" % (row.name, in_flight)
    lines = []
    for name in row.servers:
        cell = "%s/%d/%s" % (row.name, in_flight, name)
        if cell in results["calls_failed"]:
            lines.append([titles[name], "failed"] + [""] * 10)
            continue
        if cell not in measured:
            continue

        def median(figure):
            return calls.median(measured, cell, figure)

        def ratio(figure):
            return show(calls.ratio(measured, cell, [base], figure), "%.2f")

        lines.append([
            titles[name], show(median("rate")), ratio("rate"), show(median("p50_us")), ratio("p50_us"),
            show(median("p99_us")), ratio("p99_us"), show(median("cpu_us.server"), "%.1f"), ratio("cpu_us.server"),
            show(median("cpu_us.broker"), "%.0f") if results["broker_watched"] else "–",
            show(median("cpu_us.load"), "%.1f"), show(median("rss"), "%.1f", 1 / MIB),
        ])  # fmt: skip
    head = ["", "calls/s", "×", "p50 µs", "×", "p99 µs", "×", "CPU µs", "×", "broker µs", "load µs", "RSS MiB"]
    return "### %s, %d in flight\n\n%s" % (row.title, in_flight, table(head, lines))


def console_table(results):
    measured = results["consoles"]
    lines = []
    for case in consoles.CASES:
        for name in consoles.CAPTURERS:
            cell = "%s/%s" % (case.name, name)
            if cell not in measured:
                continue
            median = lambda figure, cell=cell: consoles.median(measured, cell, figure)  # noqa: E731
            lines.append([
                "%s, %s" % (case.name, name), show(median("rate"), "%.0f", 1 / MIB),
                show(consoles.ratio(measured, cell, ["%s/cat" % case.name], "rate"), "%.2f"),
                show(consoles.ratio(measured, cell, ["%s/one_cat" % case.name], "rate"), "%.2f"),
                show(median("cpu_ms_per_mib"), "%.3f"), show(median("dropped"), "%.1f", 1 / MIB), show(median("idle_rss"), "%.1f", 1 / MIB),
                show(median("idle_anonymous"), "%.1f", 1 / MIB), show(median("idle_wakeups_per_s"), "%.1f"),
            ])  # fmt: skip
    head = ["consoles", "MiB/s", "× cat", "× one_cat", "CPU ms/MiB", "lost MiB", "idle RSS MiB", "anonymous",
            "wake-ups/s"]  # fmt: skip
    return "### Console capture\n\n" + table(head, lines)


def guest_table(results):
    figures, many = results["guests"], results["guests"]["many"]
    lines = [
        ["from the request to the first console byte", show(statistics.median(figures["request"]), "%.0f ms", 1000)],
        ["the same command line by hand", show(statistics.median(figures["hand"]), "%.0f ms", 1000)],
        ["median of the ratios, pair by pair", show(figures["ratio"], "%.2f")],
        ["%d guests at once: all have booted after" % many["guests"], show(many["booted_s"], "%.1f s")],
        ["their memory together (PSS)", show(many["pss"], "%.0f MiB", 1 / MIB)],
        ["all destroyed after", show(many["destroyed_s"], "%.1f s")],
    ]
    return "### Real guests (QEMU, emulated)\n\n" + table(["", ""], lines)


def growth_table(results):
    lines = [
        [row["hosts"], show(row["start_s"], "%.2f"), show(row["hosts_only_rss"], "%.1f", 1 / MIB),
         show(row["rss"], "%.1f", 1 / MIB), show(row["rss"] / row["hosts"], "%.0f", 1 / 1024),
         show(row["cpu_percent"], "%.2f"), show(row["spawns_per_s"]), show(row["read"]["rate"]),
         show(row["read"]["cpu_us"]["server"], "%.1f")]
        for row in results["growth"]
    ]  # fmt: skip
    head = ["hosts = instances", "start s", "RSS MiB, no instance", "RSS MiB", "KiB each", "idle CPU %", "spawns/s",
            "reads/s", "CPU µs"]  # fmt: skip
    return "### Growth, hosts with one instance each\n\n" + table(head, lines)


def instances_table(results):
    lines = [
        [row["instances"], show(row["rss"], "%.1f", 1 / MIB),
         show((row["rss"] - row["empty_rss"]) / row["instances"], "%.0f", 1 / 1024), show(row["cpu_percent"], "%.2f"),
         show(row["spawns_per_s"]), show(row["read"]["rate"]), show(row["read"]["cpu_us"]["server"], "%.1f")]
        for row in results["instances"]
    ]  # fmt: skip
    head = ["instances", "RSS MiB", "KiB each", "idle CPU %", "spawns/s", "reads/s", "CPU µs"]
    return "### Growth, instances on one host\n\n" + table(head, lines)


def clients_table(results):
    lines = [
        [row["clients"], show(row["rss"], "%.1f", 1 / MIB), show(row["read"]["rate"]),
         show(row["read"]["cpu_us"]["server"], "%.1f")]
        for row in results["clients"]
    ]  # fmt: skip
    return "### Growth, clients of one host\n\n" + table(["clients", "RSS MiB", "reads/s", "CPU µs"], lines)


def load_table(figures):
    lines = [[name, show(row["rate"]), show(row["p50_us"]), show(row["p99_us"])] for name, row in figures.items()]
    return "### get_info under load, 8 in flight\n\n" + table(["", "calls/s", "p50 µs", "p99 µs"], lines)


def report(results, rows, titles):
    """Everything as Markdown, to be printed and to be pasted into docs/performance.md as it is."""
    parts = ["\n## Figures\n\nMedians of %d rounds; × is the median over the rounds of the ratio to the plain C echo in the"
             " same round." % results["rounds"]]  # fmt: skip
    for row in rows:
        for in_flight in row.in_flight:
            if any(cell.startswith("%s/%d/" % (row.name, in_flight)) for cell in results["calls"]):
                parts.append(call_table(results, row, in_flight, titles))
    if results.get("under_load"):
        parts.append(load_table(results["under_load"]))
    if results["consoles"]:
        parts.append(console_table(results))
    if results.get("guests"):
        parts.append(guest_table(results))
    if results.get("growth"):
        parts.append(growth_table(results))
    if results.get("instances"):
        parts.append(instances_table(results))
    if results.get("clients"):
        parts.append(clients_table(results))
    if results.get("build"):
        parts.append("Build: %(clean).0f s from a clean clone, tests included; %(incremental).1f s after touching one file"
                     " of a leaf target." % results["build"])  # fmt: skip
    lines = [[v.what, v.goal, v.figure, v.verdict] for v in verdicts(results)]
    parts.append("## Goals\n\n" + table(["what", "goal", "figure", "verdict"], lines))
    return "\n\n".join(parts)
