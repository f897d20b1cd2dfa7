"""The page that everybody records: its media, and a server for it."""

import http.server
import re
import shutil
import subprocess
import threading
from pathlib import Path

PAGES = Path(__file__).resolve().parents[2] / "tests" / "pages"
SYNC_SECONDS = 600


def ffmpeg(*args):
    command = ["ffmpeg", "-nostdin", "-hide_banner", "-loglevel", "error", "-y", *map(str, args)]
    subprocess.run(command, check=True)


def build_site(site):
    """Copies the pages into `site` and generates what they play, once."""
    site.mkdir(parents=True, exist_ok=True)
    for page in PAGES.iterdir():
        shutil.copy(page, site)
    if not (site / "sync.mp4").exists():
        make_sync(site / "sync.mp4")
    if not (site / "tile3.mp4").exists():
        make_tiles(site)


def make_sync(path):
    """A white flash and a 1 kHz beep of 100 ms at each full second."""
    on = "gte(t,1)*lt(mod(t+0.000001,1),0.1)"
    beep = f"0.5*{on}*sin(2*PI*1000*t)".replace(",", "\\,")
    light = "255*gte(T,1)*lt(mod(T+0.001,1),0.1)".replace(",", "\\,")
    part = path.with_suffix(".part.mp4")
    ffmpeg(
        "-f", "lavfi", "-i",
        f"color=black:s=64x16:r=30:d={SYNC_SECONDS},format=yuv420p,geq=lum={light}:cb=128:cr=128",
        "-f", "lavfi", "-i", f"aevalsrc={beep}|{beep}:s=48000:d={SYNC_SECONDS}",
        "-c:v", "libx264", "-preset", "veryfast", "-g", "30", "-crf", "18",
        "-c:a", "flac", "-strict", "-2", "-movflags", "+faststart", part,
    )
    part.rename(path)


def make_tiles(site):
    """Four people who talk: a swaying head before a grainy wall that stands still."""
    head = site / "head.mkv"
    oval = "lt(pow((X-110)/95\\,2)+pow((Y-140)/130\\,2)\\,1)"
    eyes = "lt(pow((abs(X-110)-38)/13\\,2)+pow((Y-105)/8\\,2)\\,1)"
    # The mouth opens and closes three times in two seconds, as in speech.
    mouth = "lt(pow((X-110)/34\\,2)+pow((Y-200)/(4+12*abs(sin(1.5*PI*T)))\\,2)\\,1)"
    shade = "(1-0.25*hypot(X-80\\,Y-90)/160)"
    features = f"(1-0.8*max({eyes}\\,{mouth}))"
    ffmpeg(
        "-f", "lavfi", "-i",
        "color=black:s=220x280:r=30:d=10,format=rgba,"
        f"geq=r=224*{shade}*{features}:g=172*{shade}*{features}:b=140*{shade}*{features}"
        f":a=255*{oval}",
        "-c:v", "ffv1", "-pix_fmt", "bgra", head,
    )
    for index, wall in enumerate(["0x6b7a8f", "0x8f7f6b", "0x5f7f6f", "0x7a6b85"]):
        # Whole periods in the 10 s of the loop: it has no seam.
        sway = f"210+{8 + 2 * index}*sin(2*PI*t*{2 + index}/10)"
        nod = f"60+5*sin(2*PI*t*{3 + index}/10)"
        part = site / f"tile{index}.part.mp4"
        ffmpeg(
            "-f", "lavfi", "-i", f"color={wall}:s=640x360:r=30:d=10,noise=alls=14:all_seed={index}",
            "-i", head, "-filter_complex",
            f"[1]hue=h={index * 6}[face];[0][face]overlay=x='{sway}':y='{nod}',format=yuv420p",
            "-c:v", "libx264", "-preset", "medium", "-crf", "22", "-g", "60",
            "-movflags", "+faststart", part,
        )
        part.rename(site / f"tile{index}.mp4")
    head.unlink()


class Server(http.server.ThreadingHTTPServer):
    """Serves a folder with ranges (looping video asks for them) and remembers who asked."""

    daemon_threads = True

    def __init__(self, site):
        super().__init__(("127.0.0.1", 0), Handler)
        self.site = site
        self.asked = set()
        threading.Thread(target=self.serve_forever, name="pages", daemon=True).start()

    def url(self, query):
        """The page's address; `query` tells visitors apart."""
        return f"http://127.0.0.1:{self.server_port}/tiles.html?{query}"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    types = {".html": "text/html; charset=utf-8", ".js": "text/javascript", ".mp4": "video/mp4"}

    def log_message(self, *_):
        pass

    def do_GET(self):
        name = self.path.split("?")[0].lstrip("/")
        path = self.server.site / name
        if "/" in name or not path.is_file():
            self.send_error(404)
            return
        # Media are asked for by a page: the page's query says by whose.
        self.server.asked.add((self.headers.get("Referer", "").partition("?")[2], name))
        data = path.read_bytes()
        total = len(data)
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        first = min(int(wanted[1]), total - 1) if wanted else 0
        last = min(int(wanted[2]), total - 1) if wanted and wanted[2] else total - 1
        self.send_response(206 if wanted else 200)
        if wanted:
            self.send_header("Content-Range", f"bytes {first}-{last}/{total}")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Type", self.types.get(path.suffix, "application/octet-stream"))
        self.send_header("Content-Length", str(last - first + 1))
        self.end_headers()
        try:
            self.wfile.write(data[first : last + 1])
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
