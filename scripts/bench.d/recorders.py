"""The three contestants. Each records `url` for a while and tells what it measured.

The peers are run as their sources run them (Jibri's ffmpeg command and LiveKit Egress' GStreamer
pipeline, each with its Chrome flags); only what depends on their containers is replaced: a
private Xvfb instead of Xorg with a window manager, a private PulseAudio instead of an ALSA
loopback, `--no-sandbox` for root, and an AAC encoder that Debian has instead of faac.
"""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from measure import Group

WIDTH, HEIGHT, FPS = 1280, 720, 30
# Left out of the processor measurement at the beginning: start-up is measured apart.
SETTLE = 3.0
CHROMIUM = next(
    (p for p in ("/usr/lib/chromium/chromium", shutil.which("chromium")) if p and Path(p).exists()),
    "chromium",
)

JIBRI_CHROME = [
    "--use-fake-ui-for-media-stream", "--start-maximized", "--kiosk", "--enabled",
    "--autoplay-policy=no-user-gesture-required",
    # Jibri's window manager maximises; without one the size has to be said.
    "--window-position=0,0", f"--window-size={WIDTH},{HEIGHT}",
]
LIVEKIT_CHROME = [
    "--no-first-run", "--no-default-browser-check", "--disable-gpu", "--disable-infobars",
    "--disable-background-networking",
    "--enable-features=NetworkService,NetworkServiceInProcess",
    "--disable-background-timer-throttling", "--disable-backgrounding-occluded-windows",
    "--disable-breakpad", "--disable-client-side-phishing-detection", "--disable-default-apps",
    "--disable-dev-shm-usage", "--disable-extensions",
    "--disable-features=AudioServiceOutOfProcess,site-per-process,Translate,TranslateUI,"
    "BlinkGenPropertyTrees",
    "--disable-hang-monitor", "--disable-ipc-flooding-protection", "--disable-popup-blocking",
    "--disable-prompt-on-repost", "--disable-renderer-backgrounding", "--disable-sync",
    "--force-color-profile=srgb", "--metrics-recording-only",
    "--safebrowsing-disable-auto-update", "--password-store=basic", "--use-mock-keychain",
    "--kiosk", "--disable-translate", "--autoplay-policy=no-user-gesture-required",
    "--window-position=0,0", f"--window-size={WIDTH},{HEIGHT}",
]


class Failed(Exception):
    """A contestant did not come up or did not finish."""


def wait_for(what, question, patience):
    until = time.monotonic() + patience
    while not (answer := question()):
        if time.monotonic() > until:
            raise Failed(f"not within {patience} s: {what}")
        time.sleep(0.05)
    return answer


class Measured:
    """Processor time between two moments of one group."""

    def __init__(self, group):
        self.group = group
        self.begun = time.monotonic()
        self.cpu = group.cpu_seconds()

    def percent(self):
        used = self.group.cpu_seconds() - self.cpu
        return 100 * used / (time.monotonic() - self.begun)


def roomreel(binary):
    """Our own: `roomreel record`, ended by SIGINT as by Ctrl-C."""

    def record(server, seconds, out, work):
        journal = work / "journal.jsonl"
        journal.unlink(missing_ok=True)
        group = Group("roomreel")
        try:
            with (work / "roomreel.log").open("wb") as log:
                begun = time.monotonic()
                child = group.start(
                    [binary, "record", server.url("roomreel"), "-o", out, "--journal", journal,
                     "--duration", f"{int(seconds) + 120}s", "--resolution", f"{WIDTH}x{HEIGHT}",
                     "--fps", FPS, "--join", "load"],
                    log,
                )
                first = wait_for("a first frame", lambda: first_frame(child, journal), 60)
                time.sleep(SETTLE)
                measured = Measured(group)
                time.sleep(max(0.0, first + seconds - time.monotonic()))
                cpu = measured.percent()
                stopped = time.monotonic()
                child.send_signal(signal.SIGINT)
                if child.wait(60) != 0:
                    raise Failed(f"roomreel exited with {child.returncode}")
                finished = time.monotonic()
        finally:
            group.close()
        return {
            "cpu_percent": cpu,
            "peak_pss_mb": group.peak_pss / 1e6,
            "start_s": first - begun,
            "stop_s": finished - stopped,
            "meter": group.meter.how,
        }

    return record


def first_frame(child, journal):
    """T0 on the monotonic clock, once the journal has it."""
    if child.poll() is not None:
        raise Failed(f"roomreel exited with {child.returncode} before its first frame")
    lines = journal.read_text().splitlines() if journal.exists() else []
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if event.get("event") == "first_frame":
            return event["t0"] / 1e9
    return None


@contextmanager
def screen_and_browser(name, flags, server, work):
    """An Xvfb, a PulseAudio with one null sink and a Chromium that shows the page."""
    group = Group(name)
    try:
        # Sockets have short paths and profiles are thrown away: not in the work folder.
        with tempfile.TemporaryDirectory(prefix="bench-") as temp, \
                (work / f"{name}.log").open("wb") as log:
            env = {k: v for k, v in os.environ.items() if k not in ("WAYLAND_DISPLAY", "DISPLAY")}
            env |= {"HOME": temp, "XDG_RUNTIME_DIR": temp, "PULSE_SERVER": f"unix:{temp}/sound",
                    "PULSE_SINK": "bench", "DBUS_SESSION_BUS_ADDRESS": "disabled:"}
            env["DISPLAY"] = start_xvfb(group, log, env)
            start_pulse(group, log, env, temp)
            root = ["--no-sandbox"] if os.geteuid() == 0 else []
            group.start(
                [CHROMIUM, *flags, *root, "--ozone-platform=x11", f"--user-data-dir={temp}/profile",
                 server.url(name)],
                log, env,
            )
            wait_for("the page's last video", lambda: (name, "tile3.mp4") in server.asked, 60)
            time.sleep(2)
            yield group, env, log
            group.close()
    except BaseException:
        group.close()
        raise


def start_xvfb(group, log, env):
    """Starts Xvfb on a display that it finds free; the display's name."""
    read, write = os.pipe()
    os.set_inheritable(write, True)
    child = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", f"{WIDTH}x{HEIGHT}x24", "-ac",
         "-nolisten", "tcp"],
        stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, pass_fds=[write],
        start_new_session=True, preexec_fn=group.meter.enter,
    )
    group.children.append(child)
    os.close(write)
    with os.fdopen(read) as answer:
        number = answer.readline().strip()
    if not number:
        raise Failed("Xvfb did not start")
    return f":{number}"


def start_pulse(group, log, env, temp):
    """Starts a daemon that only this run can reach, with one sink called `bench`."""
    group.start(
        ["pulseaudio", "-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1",
         "--disallow-exit", "--log-target=stderr",
         "-L", "module-null-sink sink_name=bench",
         "-L", f"module-native-protocol-unix auth-anonymous=1 socket={temp}/sound"],
        log, env,
    )
    sinks = lambda: subprocess.run(  # noqa: E731
        ["pactl", "list", "short", "sinks"], env=env, capture_output=True, text=True, check=False
    ).stdout
    wait_for("the sound daemon", lambda: "bench" in sinks(), 10)


def peer(name, flags, command):
    """A contestant that is a capture `command(env, out)` beside an X server; ended by SIGINT."""

    def record(server, seconds, out, work):
        server.asked = {pair for pair in server.asked if pair[0] != name}
        with screen_and_browser(name, flags, server, work) as (group, env, log):
            begun = time.monotonic()
            child = group.start(command(env, out), log, env)
            wait_for("a growing file", out.exists, 20)
            time.sleep(SETTLE)
            measured = Measured(group)
            time.sleep(max(0.0, begun + seconds - time.monotonic()))
            cpu = measured.percent()
            stopped = time.monotonic()
            child.send_signal(signal.SIGINT)
            child.wait(60)
            finished = time.monotonic()
            # ffmpeg answers SIGINT with 255 after writing everything.
            if child.returncode not in (0, 255):
                raise Failed(f"{name}'s capture exited with {child.returncode}")
        return {
            "cpu_percent": cpu,
            "peak_pss_mb": group.peak_pss / 1e6,
            "stop_s": finished - stopped,
            "meter": group.meter.how,
        }

    return record


def jibri_command(env, out):
    return [
        "ffmpeg", "-nostdin", "-y", "-v", "info",
        "-f", "x11grab", "-draw_mouse", "0", "-r", FPS, "-s", f"{WIDTH}x{HEIGHT}",
        "-thread_queue_size", "4096", "-i", f"{env['DISPLAY']}.0+0,0",
        "-f", "pulse", "-thread_queue_size", "4096", "-i", "bench.monitor",
        "-acodec", "aac", "-strict", "-2", "-ar", "44100", "-b:a", "128k",
        "-af", "aresample=async=1",
        "-c:v", "libx264", "-preset", "ultrafast", "-profile:v", "main", "-level", "3.1",
        "-pix_fmt", "yuv420p", "-r", FPS, "-crf", "25", "-f", "mp4", out,
    ]


def livekit_command(env, out):
    queue = "queue max-size-time=3000000000 max-size-bytes=0 max-size-buffers=0 leaky=downstream"
    pipeline = f"""
        ximagesrc display-name={env['DISPLAY']} use-damage=false show-pointer=false
          ! {queue} ! videoconvert ! videorate skip-to-first=true
          ! video/x-raw,format=I420,width={WIDTH},height={HEIGHT},framerate={FPS}/1
          ! {queue} ! x264enc speed-preset=veryfast bitrate=3000 vbv-buf-capacity=2000
          ! video/x-h264,profile=main ! queue ! mp4mux name=mux ! filesink location={out}
        pulsesrc device=bench.monitor ! {queue} ! audioconvert ! audioresample
          ! audiorate tolerance=3000000
          ! audio/x-raw,format=S16LE,layout=interleaved,rate=44100,channels=2
          ! {queue} ! audioconvert ! avenc_aac bitrate=128000 ! aacparse ! queue ! mux.
    """
    return ["gst-launch-1.0", "-e", *pipeline.split()]


def contestants(binary):
    """Name to `record(server, seconds, out, work)`, in the order of the table."""
    return {
        "roomreel": roomreel(binary),
        "jibri": peer("jibri", JIBRI_CHROME, jibri_command),
        "livekit": peer("livekit", LIVEKIT_CHROME, livekit_command),
    }
