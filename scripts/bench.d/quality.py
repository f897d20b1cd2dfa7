"""Picture quality of each contestant's encoder settings on one and the same capture."""

import json
import resource
import subprocess
import tempfile
from pathlib import Path

from recorders import FPS, HEIGHT, LIVEKIT_CHROME, WIDTH, Failed, screen_and_browser

SECONDS = 10

# What src/encode/video.rs asks of libx264, name for name, with the quantiser that
# src/encode/quantiser.rs comes to on this page by default.
OURS = {
    "-preset": "ultrafast", "-tune": "zerolatency", "-profile:v": "high", "-coder": "cabac",
    "-8x8dct": "1", "-partitions": "i4x4,i8x8,p8x8", "-i_qfactor": "0.3333", "-qp": "22",
    "-g": "120", "-keyint_min": "120", "-sc_threshold": "0", "-threads": "1",
    "-x264-params": "stitchable=1",
}

# The neighbours of that corner: what each choice is worth.
NEIGHBOURS = {
    "as it is": {},
    "without CABAC": {"-coder": "vlc"},
    "without 8x8 transform": {"-8x8dct": "0"},
    "with deblocking": {"-deblock": "0:0"},
    "without inter partitions": {"-partitions": "i4x4,i8x8"},
    "without any partitions": {"-partitions": "none"},
    "trellis": {"-trellis": "1"},
    "subq 1": {"-subq": "1"},
    "subq 2": {"-subq": "2"},
    "rate control by x264": {"-qp": None, "-crf": "25"},
    "the same with a ceiling": {
        "-qp": None, "-crf": "25", "-maxrate": "12442k", "-bufsize": "17500k",
    },
    "hexagon search": {"-motion-est": "hex"},
    "keyframes 1.4 times as fine": {"-i_qfactor": "0.7143"},
    "keyframes twice as fine": {"-i_qfactor": "0.5"},
    "keyframes 4 times as fine": {"-i_qfactor": "0.25"},
    "a keyframe every 2 s": {"-g": "60", "-keyint_min": "60"},
    "qp 20": {"-qp": "20"},
    "qp 24": {"-qp": "24"},
    "preset superfast": {"-preset": "superfast"},
    "preset veryfast": {"-preset": "veryfast"},
}


def options(settings):
    return [word for pair in settings.items() if pair[1] is not None for word in pair]


SETTINGS = {
    "roomreel": options(OURS),
    "jibri": ["-preset", "ultrafast", "-profile:v", "main", "-level", "3.1", "-crf", "25"],
    "livekit": [
        "-preset", "veryfast", "-profile:v", "main", "-b:v", "3000k", "-maxrate", "3000k",
        "-bufsize", "6000k",
    ],
}


PEERS = SETTINGS.keys() - {"roomreel"}


def vmaf_ffmpeg():
    """An ffmpeg with libvmaf, which Debian's has not; None when there is none."""
    try:
        import imageio_ffmpeg
    except ImportError:
        return None
    program = imageio_ffmpeg.get_ffmpeg_exe()
    filters = subprocess.run([program, "-filters"], capture_output=True, text=True, check=False)
    return program if " libvmaf " in filters.stdout else None


def capture(server, work):
    """Lossless pictures of the page."""
    out = work / "lossless.mkv"
    server.asked = {pair for pair in server.asked if pair[0] != "quality"}
    with screen_and_browser("quality", LIVEKIT_CHROME, server, work) as (group, env, log):
        grab = group.start(
            ["ffmpeg", "-nostdin", "-y", "-v", "error", "-f", "x11grab", "-draw_mouse", "0",
             "-framerate", FPS, "-video_size", f"{WIDTH}x{HEIGHT}", "-i", env["DISPLAY"],
             "-t", SECONDS, "-fps_mode", "passthrough",
             # Numbered frames: nothing may be dropped or repeated between here and the judge.
             "-vf", f"setpts=N/{FPS}/TB,scale=out_color_matrix=bt709:out_range=tv,format=yuv420p",
             "-c:v", "libx264", "-preset", "ultrafast", "-qp", "0", out],
            log, env,
        )
        if grab.wait(SECONDS + 60) != 0:
            raise Failed("no lossless capture")
    return out


def encode(source, settings, out):
    """Encodes with Debian's x264; processor seconds a second of film."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        ["ffmpeg", "-nostdin", "-y", "-v", "error", "-i", source, "-an",
         "-fps_mode", "passthrough", "-c:v", "libx264", *settings, out],
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / SECONDS


def decode_cost(source):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-i", source, "-f", "null", "-"], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / SECONDS


def vmaf(program, source, encoded):
    """VMAF of `encoded` against `source`: mean, and what 5 % of the frames are below."""
    with tempfile.TemporaryDirectory(prefix="bench-") as temp:
        log = Path(temp) / "vmaf.json"
        subprocess.run(
            [program, "-nostdin", "-v", "error", "-i", encoded, "-i", source, "-lavfi",
             f"[0:v]setpts=N/{FPS}/TB[a];[1:v]setpts=N/{FPS}/TB[b];"
             f"[a][b]libvmaf=log_fmt=json:log_path={log}:n_threads=2", "-f", "null", "-"],
            check=True,
        )
        report = json.loads(log.read_text())
    frames = sorted(frame["metrics"]["vmaf"] for frame in report["frames"])
    return report["pooled_metrics"]["vmaf"]["mean"], frames[len(frames) // 20]


def quality(server, work, settings):
    """Per name in `settings` (libx264 options): VMAF, bit rate and encoding cost."""
    program = vmaf_ffmpeg()
    if program is None:
        raise Failed("no ffmpeg with libvmaf")
    source = capture(server, work)
    decoding = min(decode_cost(source) for _ in range(3))
    results = {}
    for name, wanted in settings.items():
        encoded = work / "quality.mp4"
        cost = min(encode(source, wanted, encoded) for _ in range(3)) - decoding
        mean, low = vmaf(program, source, encoded)
        results[name] = {
            "vmaf": mean,
            "vmaf_p5": low,
            "vmaf_mbit_per_s": 8e-6 * encoded.stat().st_size / SECONDS,
            "encode_cpu_percent": 100 * cost,
        }
        encoded.unlink()
    if "roomreel" in settings:
        for name in settings.keys() & PEERS:
            at_most = results[name]["vmaf_mbit_per_s"]
            results[name]["roomreel_vmaf_at_that_rate"] = at_rate(program, source, work, at_most)
    source.unlink()
    return results


def at_rate(program, source, work, at_most):
    """VMAF of our settings with the finest quantiser whose film is no larger than `at_most` Mb/s."""
    encoded = work / "at-rate.mp4"
    for quantiser in range(10, 41):
        encode(source, options(OURS | {"-qp": str(quantiser)}), encoded)
        if 8e-6 * encoded.stat().st_size / SECONDS <= at_most:
            break
    mean, _ = vmaf(program, source, encoded)
    encoded.unlink()
    return mean


def search(server, work):
    """What each choice in our settings is worth, as lines of text."""
    settings = {name: options(OURS | other) for name, other in NEIGHBOURS.items()}
    yield f"{'':28}  Mb/s   VMAF  lowest 5 %  % of a core"
    for name, found in quality(server, work, SETTINGS | settings).items():
        yield (f"{name:28} {found['vmaf_mbit_per_s']:5.2f}  {found['vmaf']:5.2f}  "
               f"{found['vmaf_p5']:10.2f}  {found['encode_cpu_percent']:11.1f}")
