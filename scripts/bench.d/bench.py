"""Runs the contestants in turns, judges their files, prints medians and ratios."""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

from judge import judge
from page import Server, build_site
from quality import SETTINGS, quality, search
from recorders import SETTLE, Failed, contestants

WORK = Path(__file__).resolve().parents[2] / "target" / "bench"

# Key of the results, heading, format, whether a ratio to ours says anything.
ROWS = [
    ("cpu_percent", "CPU, % of one core", "{:.1f}", True),
    ("peak_pss_mb", "peak memory (PSS), MB", "{:.0f}", True),
    ("unique_per_s", "unique frames/s", "{:.2f}", True),
    ("largest_gap_ms", "largest gap, ms", "{:.0f}", True),
    ("stamps_p99_ms", "painted times off a line, p99, ms", "{:.1f}", False),
    ("mbit_per_s", "file, Mb/s", "{:.2f}", True),
    ("size_mb", "file, MB", "{:.1f}", False),
    ("av_offset_ms", "sound after picture, ms", "{:+.1f}", False),
    ("av_sd_ms", "its standard deviation, ms", "{:.1f}", False),
    ("start_s", "start to first frame, s", "{:.2f}", False),
    ("stop_s", "stop to finished file, s", "{:.2f}", False),
    ("vmaf", "VMAF of the settings", "{:.1f}", False),
    ("vmaf_p5", "VMAF, lowest 5 % of frames", "{:.1f}", False),
    ("vmaf_mbit_per_s", "their bit rate, Mb/s", "{:.2f}", True),
    ("roomreel_vmaf_at_that_rate", "VMAF of roomreel's at that rate", "{:.1f}", False),
    ("encode_cpu_percent", "their encoding, % of one core", "{:.1f}", True),
]


def arguments():
    parser = argparse.ArgumentParser(prog="scripts/bench")
    parser.add_argument("--roomreel", type=Path, required=True, help="the binary")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=30.0, help="of each recording")
    parser.add_argument("--only", default="roomreel,jibri,livekit", help="contestants")
    parser.add_argument("--no-vmaf", action="store_true")
    parser.add_argument("--search", action="store_true", help="only the encoder settings")
    asked = parser.parse_args()
    if asked.rounds < 1 or asked.seconds < SETTLE + 5:
        parser.error(f"at least one round of {SETTLE + 5:.0f} s")
    asked.only = asked.only.split(",")
    unknown = set(asked.only) - set(contestants(asked.roomreel))
    if unknown:
        parser.error(f"no such contestant: {', '.join(sorted(unknown))}")
    return asked


def one_run(record, server, seconds, name, turn):
    """Measures and judges one recording; a failure is a result as well."""
    out = WORK / f"{name}-{turn + 1}.mp4"
    out.unlink(missing_ok=True)
    try:
        result = record(server, seconds, out, WORK) | judge(out, SETTLE)
    except (Failed, OSError, ValueError, subprocess.CalledProcessError) as error:
        result = {"error": f"{type(error).__name__}: {error}"}
    shown = result.get("error") or (
        f"{result['cpu_percent']:.1f} % CPU, {result['unique_per_s']:.2f} unique frames/s, "
        f"gap {result['largest_gap_ms']:.0f} ms, sound {result['av_offset_ms']:+.1f} ms"
    )
    print(f"round {turn + 1}, {name}: {shown}", file=sys.stderr, flush=True)
    return {"contestant": name, "round": turn + 1} | result


def medians(runs, name):
    mine = [run for run in runs if run["contestant"] == name and "error" not in run]
    keys = {key for run in mine for key in run if isinstance(run[key], float | int)}
    return {key: statistics.median(run[key] for run in mine if key in run) for key in keys}


def table(results):
    """Rows of text: a figure per contestant, and how it compares with the first."""
    names = list(results)
    head = ["", *names]
    lines = []
    for key, title, form, ratio in ROWS:
        values = [results[name].get(key) for name in names]
        if all(value is None for value in values):
            continue
        cells = []
        for value in values:
            cell = "-" if value is None else form.format(value)
            if ratio and value is not None and values[0] and value is not values[0]:
                cell += f" (x{value / values[0]:.2f})"
            cells.append(cell)
        lines.append([title, *cells])
    widths = [max(len(row[i]) for row in [head, *lines]) for i in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
        for row in [head, *lines]
    )


def main():
    asked = arguments()
    WORK.mkdir(parents=True, exist_ok=True)
    site = WORK / "site"
    build_site(site)
    server = Server(site)
    if asked.search:
        for line in search(server, WORK):
            print(line, flush=True)
        return 0
    all_of_them = contestants(asked.roomreel)
    runs = []
    for turn in range(asked.rounds):
        # Who goes first changes: nobody always gets the machine at its coolest.
        shift = turn % len(asked.only)
        for name in asked.only[shift:] + asked.only[:shift]:
            runs.append(one_run(all_of_them[name], server, asked.seconds, name, turn))
    results = {name: medians(runs, name) for name in asked.only}
    if not asked.no_vmaf:
        try:
            settings = {name: SETTINGS[name] for name in asked.only}
            for name, values in quality(server, WORK, settings).items():
                results[name] |= values
        except (Failed, OSError, subprocess.CalledProcessError) as error:
            print(f"VMAF is left out: {error}", file=sys.stderr)
    meter = next((run["meter"] for run in runs if "meter" in run), "-")
    print(f"\nmedians of {asked.rounds} x {asked.seconds:.0f} s on {os.cpu_count()} cores "
          f"({platform.machine()}), CPU by {meter}")
    print(table(results))
    report = {"seconds": asked.seconds, "runs": runs, "medians": results}
    (WORK / "results.json").write_text(json.dumps(report, indent=1) + "\n")
    return 1 if any("error" in run for run in runs) else 0


if __name__ == "__main__":
    sys.exit(main())
