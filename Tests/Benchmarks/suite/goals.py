"""The project's goals, and what the figures of a run say about each."""

from dataclasses import dataclass

from . import calls, consoles

MIB = 2**20

# Where docs/performance.md says why a line is missed: the first whose words occur in it.
SECTIONS = (
    ("Python server", "Against the Python server"),
    ("one in flight", "One in flight"),
    ("durable", "Durable requests"),
    ("real guest", "Real guests"),
    ("under load", "Reads, 64 in flight"),
    ("hosts", "A thousand hosts"),
    ("reads", "Reads, 64 in flight"),
    ("CPU per", "Reads, 64 in flight"),
    ("stripped", "The program"),
    ("console", "Consoles"),
    ("guests", "Consoles"),
    ("idle worker", "Idle worker"),
)


@dataclass
class Verdict:
    what: str
    goal: str
    figure: str
    verdict: str  # met, missed and where the page says why, or why it was not measured


def judge(what, figure, bound, at_least, unit="×", reason="not measured"):
    goal = "%s %s%s" % ("≥" if at_least else "≤", number(bound), " " + unit if unit else "")
    if figure is None:
        return Verdict(what, goal, "–", reason)
    met = figure >= bound if at_least else figure <= bound
    return Verdict(what, goal, "%s%s" % (number(figure), " " + unit if unit else ""), "met" if met else missed(what))


def missed(what):
    section = next((title for words, title in SECTIONS if words in what), None)
    return "MISSED: see *%s*" % section if section else "MISSED"


def number(value):
    return "%g" % float("%.3g" % value)


def verdicts(results):
    """One verdict for each line of the goals, in their order."""
    measured, failed = results["calls"], results["calls_failed"]

    def against(what, row, in_flight, name, bases, bound, at_least, server="vmopsd"):
        cell = "%s/%d/%s" % (row, in_flight, server)
        others = ["%s/%d/%s" % (row, in_flight, base) for base in bases]
        reason = next((failed[c] for c in [cell, *others] if c in failed), results["missing"].get("vmopsd"))
        figure = calls.ratio(measured, cell, others, name)
        return judge(what, figure, bound, at_least, reason=reason or "not measured")

    both = ["plain", "tuned"]
    lines = [
        against("reads/s, 64 in flight / better C echo", "read", 64, "rate", both, 1.0, True),
        against("reads/s, 64 in flight / Python server", "read", 64, "rate", ["python"], 20, True),
        against("p50, one in flight / plain C echo", "read", 1, "p50_us", ["plain"], 1.05, False),
        against("p99, one in flight / plain C echo", "read", 1, "p99_us", ["plain"], 1.3, False),
        against("worker CPU per call, 64 in flight / plain C echo", "read", 64, "cpu_us.server", ["plain"], 1.0, False),
        against("3 KB reads/s / parsing C echo", "read-3k", 64, "rate", ["parse"], 1.0, True),
        against("3 KB reads, CPU per call / parsing C echo", "read-3k", 64, "cpu_us.server", ["parse"], 1.0, False),
        against("30 KB reads/s / parsing C echo", "read-30k", 64, "rate", ["parse"], 1.0, True),
        against("30 KB reads, CPU per call / parsing C echo", "read-30k", 64, "cpu_us.server", ["parse"], 1.0, False),
        against("json_parser = native: CPU per call / plain C echo", "read", 64, "cpu_us.server", ["plain"], 1.0, False,
                "native"),
        against("json_parser = native: p50, one in flight / plain C echo", "read", 1, "p50_us", ["plain"], 1.05, False,
                "native"),
        against("durable calls/s, 64 in flight / plain C echo", "durable", 64, "rate", ["plain"], 0.3, True),
    ]
    return (
        lines
        + [load_verdict(results), guest_verdict(results)]
        + footprint_verdicts(results)
        + console_verdicts(results)
        + build_verdicts(results)
    )


def build_verdicts(results):
    times = results.get("build") or {}
    minutes = times["clean"] / 60 if times else None
    return [
        judge("a clean clone built, tests included", minutes, 25, False, "min"),
        judge("built after a change of one file of a leaf target", times.get("incremental"), 20, False, "s"),
    ]


def guest_verdict(results):
    figures = results.get("guests") or {}
    reason = results.get("guests_failed") or results["missing"].get("vmopsd") or "not measured"
    what = "real guest, request to first console byte / QEMU by hand"
    return judge(what, figures.get("ratio"), 1.5, False, reason=reason)


def load_verdict(results):
    figures = results.get("under_load")
    ratio = figures["loaded"]["p99_us"] / figures["unloaded"]["p99_us"] if figures else None
    reason = results.get("under_load_failed") or results["missing"].get("vmopsd") or "not measured"
    return judge("p99 of reads under load / without", ratio, 3, False, reason=reason)


def footprint_verdicts(results):
    idle = results.get("idle") or {}
    reason = results["missing"].get("vmopsd") or results.get("idle_failed") or "not measured"
    lines = [
        judge("idle worker, RSS", megabytes(idle.get("rss")), 25, False, "MiB", reason),
        judge("idle worker, CPU", idle.get("cpu_percent"), 0.1, False, "%", reason),
        judge("idle worker, start to serving", idle.get("start_s"), 0.1, False, "s", reason),
        judge("stripped release program", megabytes(results.get("binary_bytes")), 25, False, "MiB"),
    ]
    thousand = next((row for row in results.get("growth", []) if row["hosts"] == 1000), {})
    reason = results.get("growth_failed", {}).get("1000") or results["missing"].get("vmopsd") or "not measured"
    console = thousand.get("console", {})
    lost = console.get("dropped_bytes", console.get("bytes_dropped"))
    lines += growth_verdicts(results)
    return lines + [
        judge("1,000 hosts, one running instance each: RSS", megabytes(thousand.get("rss")), 256, False, "MiB", reason),
        judge("1,000 consoles at once: bytes lost", lost, 0, False, "B", reason),
    ]


def growth_verdicts(results):
    """The cost of one more must not rise with their number: memory and CPU per read of the most against the fewest."""
    lines = []
    for rows, name, empty in ((results.get("growth", []), "hosts", "hosts_only_rss"),
                              (results.get("instances", []), "instances", "empty_rss")):  # fmt: skip
        if len(rows) < 3:
            continue
        first, middle, last = rows[0], rows[-2], rows[-1]
        each = [(after["rss"] - before["rss"]) / (after[name] - before[name])
                for before, after in ((first, middle), (middle, last))]  # fmt: skip
        what = "RSS of one more of %s %s / of %s" % (format(last[name], ","), name, format(middle[name], ","))
        lines.append(judge(what, each[1] / each[0] if each[0] > 0 else None, 1.1, False))
        cpu = [row["read"]["cpu_us"]["server"] for row in (first, last)]
        what = "CPU per read with %s %s / with %d" % (format(last[name], ","), name, first[name])
        lines.append(judge(what, cpu[1] / cpu[0], 1.5, False))
    rows = results.get("clients", [])
    if len(rows) > 1:
        cpu = [row["read"]["cpu_us"]["server"] for row in (rows[0], rows[-1])]
        what = "CPU per read with %s clients / with %d" % (format(rows[-1]["clients"], ","), rows[0]["clients"])
        lines.append(judge(what, cpu[1] / cpu[0], 1.5, False))
    return lines


def console_verdicts(results):
    measured, failed = results["consoles"], results["consoles_failed"]
    lines = []
    for case in consoles.CASES:
        if case.rate:
            continue  # All are as fast as the guests there.
        count, cell = case.count, "%s/vmops" % case.name
        reason = failed.get(cell) or results["missing"].get("vmops-bench") or "not measured"
        for base, name in (("one_cat", "capped cat"), ("cat", "cat(1)")):
            figure = consoles.ratio(measured, cell, ["%s/%s" % (case.name, base)], "rate")
            what = "console bytes/s, %s %s / %s" % (format(count, ","), "guest" if count == 1 else "guests", name)
            lines.append(judge(what, figure, 0.8, True, reason=reason))
    one, many = (consoles.median(measured, "%d/vmops" % count, "idle_rss") for count in (1, 1000))
    each = (many - one) / 999 / 1024 if one and many else None
    lines.append(judge("RSS per idle console", each, 32, False, "KiB", reason))
    for cell, what in (("1000-paced/vmops", "20 MiB/s together"), ("1000/vmops", "full speed")):
        lost = consoles.median(measured, cell, "dropped")
        lines.append(judge("1,000 guests at %s: bytes lost" % what, lost, 0, False, "B", reason))
    woken = consoles.median(measured, "1000/vmops", "idle_wakeups_per_s")
    lines.append(judge("wake-ups of 1,000 idle consoles", woken, 0, False, "/s", reason))
    return lines


def megabytes(value):
    return value / MIB if value is not None else None
