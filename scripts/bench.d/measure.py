"""What a group of processes costs: processor time and memory, exited processes included."""

import os
import signal
import subprocess
import threading
import time
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")


def kill(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


class CgroupV1:
    """A group of the `cpuacct` controller: its meter also keeps what exited processes used."""

    how = "cgroup v1 cpuacct"

    def __init__(self, name):
        self.path = CGROUPS / "cpuacct" / name
        self.path.mkdir()

    def cpu_seconds(self):
        return int((self.path / "cpuacct.usage").read_text()) / 1e9

    def pids(self):
        return [int(pid) for pid in (self.path / "cgroup.procs").read_text().split()]

    def enter(self):
        (self.path / "cgroup.procs").write_text("0")

    def close(self):
        self.path.rmdir()


class CgroupV2(CgroupV1):
    """A group below our own in the unified hierarchy; `cpu.stat` needs no controller."""

    how = "cgroup v2 cpu.stat"

    def __init__(self, name):
        own = next(
            line[3:] for line in Path("/proc/self/cgroup").read_text().splitlines()
            if line.startswith("0::")
        )
        parent = CGROUPS / own.lstrip("/")
        if not (parent / "cgroup.procs").exists():
            raise OSError("no unified hierarchy here")
        self.path = parent / name
        self.path.mkdir()

    def cpu_seconds(self):
        for line in (self.path / "cpu.stat").read_text().splitlines():
            if line.startswith("usage_usec"):
                return int(line.split()[1]) / 1e6
        raise OSError("no usage_usec in cpu.stat")


class Descendants:
    """Without a writable cgroup: this process's descendants by /proc. What an exited process
    used counts if its parent waited for it and lives."""

    how = "/proc"

    def __init__(self, _name):
        self.tick = os.sysconf("SC_CLK_TCK")

    def _table(self):
        table = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    stat = (entry / "stat").read_text().rpartition(")")[2].split()
                except OSError:
                    continue
                # state ppid …; utime, stime, cutime, cstime are fields 14 to 17 of the line.
                table[int(entry.name)] = (int(stat[1]), sum(map(int, stat[11:15])))
        return table

    def _family(self, table):
        family, grown = {os.getpid()}, True
        while grown:
            more = {pid for pid, (parent, _) in table.items() if parent in family} - family
            family |= more
            grown = bool(more)
        return family - {os.getpid()}

    def cpu_seconds(self):
        table = self._table()
        return sum(table[pid][1] for pid in self._family(table)) / self.tick

    def pids(self):
        return sorted(self._family(self._table()))

    def enter(self):
        pass

    def close(self):
        pass


def open_meter(name):
    for kind in (CgroupV1, CgroupV2):
        try:
            return kind(name)
        except (OSError, StopIteration):
            continue
    return Descendants(name)


class Group:
    """Processes that are measured together, and ended together at the latest by `close`."""

    def __init__(self, name):
        self.meter = open_meter(f"roomreel-bench-{os.getpid()}-{name}")
        self.children = []
        self.peak_pss = 0
        self._done = threading.Event()
        self._sampler = threading.Thread(target=self._sample, name="memory", daemon=True)
        self._sampler.start()

    def start(self, command, log, env=None):
        """Starts `command` in a session of its own; `log` takes what it prints."""
        child = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=env,
            start_new_session=True,
            preexec_fn=self.meter.enter,
        )
        self.children.append(child)
        return child

    def cpu_seconds(self):
        return self.meter.cpu_seconds()

    def _sample(self):
        # A look into every process costs it a little; every two seconds is enough for a peak.
        while not self._done.wait(2):
            self.peak_pss = max(self.peak_pss, sum(map(pss, self.meter.pids())))

    def close(self):
        """Asks everybody who is left to end, latest first, then makes them; reaps them."""
        self._done.set()
        self._sampler.join()
        for child in reversed(self.children):
            if child.poll() is None:
                child.terminate()
                try:
                    child.wait(5)
                except subprocess.TimeoutExpired:
                    pass
        for child in self.children:
            try:
                os.killpg(child.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            child.wait()
        for _ in range(50):
            left = self.meter.pids()
            if not left:
                break
            for pid in left:
                kill(pid, signal.SIGKILL)
            time.sleep(0.1)
        self.meter.close()


def pss(pid):
    """Bytes of memory that are a process's own, plus its share of what it shares."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except PermissionError:
        # A sandboxed process shows only its sums to other users: what it shares is left out.
        resident, shared = Path(f"/proc/{pid}/statm").read_text().split()[1:3]
        return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        pass
    return 0
