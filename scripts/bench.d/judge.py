"""What a recording of the page is worth: cadence by its barcode, sync by flashes and beeps.

The format of the code is described in tests/pages/barcode.js.
"""

import array
import json
import statistics
import subprocess

CELLS, DATA_BITS, CHECK_BITS = 32, 24, 5
RATE = 48000
MIN_CONTRAST = 60


def run(*command):
    return subprocess.run(
        [str(part) for part in command], check=True, capture_output=True, stdin=subprocess.DEVNULL
    ).stdout


def times(path):
    """When each frame is shown, in seconds of file time."""
    lines = run("ffprobe", "-v", "error", "-select_streams", "v:0", "-of", "csv=p=0",
                "-show_entries", "packet=pts_time,flags", path).decode().split()
    fields = [line.split(",") for line in lines]
    return sorted(float(time) for time, flags, *_ in fields if "D" not in flags)


def shrunk(path, crop, width, height):
    """Each frame's time and brightness, cropped and averaged down to width x height values."""
    data = run("ffmpeg", "-nostdin", "-v", "error", "-i", path, "-map", "0:v:0",
               "-fps_mode", "passthrough",
               "-vf", f"crop={crop},scale={width}:{height}:flags=area,format=gray",
               "-f", "rawvideo", "-")
    shown, size = times(path), width * height
    if len(data) != len(shown) * size:
        raise ValueError(f"{len(data) // size} frames decoded, {len(shown)} in the file")
    return [(time, data[i * size : (i + 1) * size]) for i, time in enumerate(shown)]


def row_value(cells):
    white, black = min(cells[0], cells[-1]), cells[1]
    if white - black < MIN_CONTRAST:
        return None
    bits = "".join("1" if cell > (white + black) / 2 else "0" for cell in cells)
    value = int(bits[2 : 2 + DATA_BITS], 2)
    for shift in (1, 2, 4, 8, 16):
        value ^= value >> shift
    check = int(bits[2 + DATA_BITS : 2 + DATA_BITS + CHECK_BITS], 2)
    return value if value % 31 == check else None


def cadence(path, skip):
    """The first `skip` seconds are left out: not everybody begins when the page stands."""
    frames = [frame for frame in shrunk(path, "iw:ih/16:0:0", CELLS, 2) if frame[0] >= skip]
    fresh, stamps, unreadable, last = [], [], 0, None
    for time, cells in frames:
        stamp, count = row_value(cells[:CELLS]), row_value(cells[CELLS:])
        if stamp is None or count is None:
            unreadable += 1
        elif last is None or count > last:
            fresh.append(time)
            stamps.append(stamp / 10)
            last = count
    if len(fresh) < 3:
        raise ValueError(f"only {len(fresh)} different pictures in {len(frames)} frames")
    span = frames[-1][0] - frames[0][0]
    end = frames[-1][0] + span / (len(frames) - 1)
    gaps = [later - earlier for earlier, later in zip(fresh, [*fresh[1:], end])]
    return {
        "frames": len(frames),
        "unreadable": unreadable,
        "unique_per_s": len(fresh) / (end - frames[0][0]),
        "largest_gap_ms": 1000 * max(gaps),
        "stamps_p99_ms": unevenness(fresh, stamps),
    }


def unevenness(shown, painted):
    """How far the page's times (ms) are from a straight line over the file's (s): the 99th
    percentile, in milliseconds."""
    line = statistics.linear_regression(shown, painted)
    off = sorted(abs(p - line.slope * s - line.intercept) for s, p in zip(shown, painted))
    return off[int(0.99 * (len(off) - 1))]


def flashes(path):
    frames = shrunk(path, "iw:ih/16:0:ih*15/16", 1, 1)
    light = [value[0] for _, value in frames]
    if max(light) - min(light) < MIN_CONTRAST:
        return []
    middle = (max(light) + min(light)) / 2
    return [
        time for before, now, (time, _) in zip(light, light[1:], frames[1:])
        if before <= middle < now
    ]


def beeps(path):
    data = run("ffmpeg", "-nostdin", "-v", "error", "-i", path, "-map", "0:a:0", "-af",
               f"aresample={RATE}:async=1:min_hard_comp=0.001:first_pts=0", "-ac", "1",
               "-f", "f32le", "-")
    samples = array.array("f", data)
    peak = max(max(samples), -min(samples))
    if peak < 0.02:
        return []
    found, last = [], None
    for n, sample in enumerate(samples):
        if abs(sample) >= peak / 2:
            # A beep begins after 0.3 s of quiet.
            if n - (0 if last is None else last) >= 0.3 * RATE:
                found.append(n / RATE)
            last = n
    return found


def sync(path):
    """Beep minus flash in milliseconds: positive when sound is late."""
    heard = beeps(path)
    offsets = []
    for flash in flashes(path):
        nearest = min((1000 * (beep - flash) for beep in heard), key=abs, default=None)
        if nearest is not None and abs(nearest) < 500:
            offsets.append(nearest)
    if not offsets:
        raise ValueError("no flash with a beep")
    return {
        "av_pairs": len(offsets),
        "av_offset_ms": statistics.median(offsets),
        "av_sd_ms": statistics.pstdev(offsets),
    }


def file_facts(path):
    facts = json.loads(run("ffprobe", "-v", "error", "-of", "json", "-show_entries",
                           "format=duration,size", path))["format"]
    seconds, size = float(facts["duration"]), int(facts["size"])
    return {"seconds": seconds, "size_mb": size / 1e6, "mbit_per_s": 8e-6 * size / seconds}


def judge(path, skip):
    """Cadence after `skip` seconds; size and sync of the whole."""
    return file_facts(path) | cadence(path, skip) | sync(path)
