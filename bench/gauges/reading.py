"""One reading of a host's own counters: a single command over SSH, and a pure parser.

The command is one `head` over files of /proc, which prints each under its name, and one `nsenter`
for each network namespace that no process of ours lives in. What cannot be read is said beside what
could be. docs/gauges.md says what it costs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from bench.errors import ParseError
from bench.gauges import proc
from bench.model import CoreUse
from bench.remote.api import Machine

HOST = "host"
ESP = "esp"
FREQUENCIES = "frequencies"
# Seconds that a reading may take: it holds up the run.
WITHIN = 5.0

# The clock and the processors' times come first; the frequencies last, as the kernel may wait ten
# milliseconds for a fresh figure. The files' names are constants and numbers, so that the shell may
# split them.
SCRIPT = r"""
export LC_ALL=C
files=
slow=
for word; do
  case $word in
    pid:*) at=/proc/${word#pid:}/net; files="$files $at/dev $at/snmp $at/netstat" ;;
    # Kernels before 5.18 wait 10 ms for each of them: of a large machine the first 32 must do.
    frequencies) at='/sys/devices/system/cpu/cpu'
      slow="$at[0-9]/cpufreq/scaling_cur_freq $at[12][0-9]/cpufreq/scaling_cur_freq"
      slow="$slow $at[3][01]/cpufreq/scaling_cur_freq" ;;
  esac
done
head -v -c 4194304 /proc/uptime /proc/stat /proc/net/dev $files /proc/net/snmp /proc/net/netstat \
  /proc/net/softnet_stat /proc/loadavg /proc/pressure/cpu $slow 2>/dev/null
printf '\n==> CLK_TCK <==\n'
getconf CLK_TCK
for word; do
  case $word in
    sandbox:*)
      printf '\n==> %s <==\n' "$word"
      nsenter --net="${word#sandbox:}" cat /proc/net/dev 2>&1 ;;
    esp)
      printf '\n==> esp <==\n'
      # Of what is printed the counts alone are let out: the keys are there, too.
      if said=$(ip -s xfrm state 2>&1); then
        printf '%s\n' "$said" | sed -n 's/^[[:space:]]*\([0-9]*\)(bytes), .*/\1/p'
        echo end
      else
        printf '%s\n' "$said" | tail -n 1
      fi ;;
  esac
done
exit 0
"""

_TITLE = re.compile(r"^==> (.+) <==$", re.MULTILINE)
_PROCESS = re.compile(r"/proc/(\d{1,10})/net/dev", re.ASCII)
_COUNT = re.compile(r"\d{1,20}", re.ASCII)
_FREQUENCY = re.compile(r"/sys/devices/system/cpu/cpu(\d{1,5})/cpufreq/scaling_cur_freq", re.ASCII)


@dataclass(frozen=True, slots=True)
class Sources:
    """Whose interfaces to read beside the host's own: processes' (``pids``, in the host's own
    numbering) and those of network namespaces that are named by a file (``sandboxes``). With
    ``esp`` also what the host's IPsec associations carried."""

    pids: tuple[int, ...] = ()
    sandboxes: tuple[str, ...] = ()
    esp: bool = False

    def keys(self) -> tuple[str, ...]:
        """The names of these namespaces in a Reading."""
        named = (*(f"pid:{pid}" for pid in self.pids), *(f"sandbox:{at}" for at in self.sandboxes))
        return tuple(dict.fromkeys((*named, *((ESP,) if self.esp else ()))))


@dataclass(frozen=True, slots=True)
class Reading:
    """A host's counters at one moment. All but ``load`` and ``frequency`` only ever grow.

    ``at`` in seconds since the host started; ``cores`` the CPU seconds of each core so far;
    ``load`` the 1-minute load average; ``retransmits`` segments and ``drops`` packets of the host's
    namespace and those of ``Sources.pids``; ``queue_drops`` those of the kernel's receive queues,
    which their interfaces count as well; ``pressure`` seconds in which some task waited for a CPU,
    None where the kernel does not tell; ``frequency`` in Hz per core where asked for and known.

    ``counters`` holds bytes received and sent together by namespace (``host``, ``pid:1234``,
    ``sandbox:/run/docker/netns/1-x``; ``esp`` for IPsec) and interface; ``unreadable`` says by
    namespace why it is missing there.
    """

    at: float
    cores: tuple[CoreUse, ...]
    load: float
    retransmits: int
    drops: int
    queue_drops: int = 0
    pressure: float | None = None
    frequency: tuple[float, ...] = ()
    counters: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    unreadable: Mapping[str, str] = field(default_factory=dict)


def argv(sources: Sources, *, frequencies: bool = False) -> tuple[str, ...]:
    """The command that makes a reading. Only sandboxes need root."""
    words = (*sources.keys(), *((FREQUENCIES,) if frequencies else ()))
    return ("sh", "-c", SCRIPT, "sh", *words)


def read(machine: Machine, sources: Sources, *, frequencies: bool = False) -> Reading:
    """Read a host's counters now.

    Raises HostError where the host does not answer and ParseError, naming it, where what it prints
    is no reading. A namespace that cannot be read is only noted.
    """
    done = machine.shell.run(argv(sources, frequencies=frequencies), timeout=WITHIN)
    try:
        found = parse(done.stdout)
    except ParseError as fault:
        said = " ".join(done.stderr.decode(errors="replace").split())[-200:]
        raise ParseError(
            f"{machine.host.name}: its counters cannot be read: {fault.what}"
            f"{f' ({said})' if said else ''}",
            "they take sh, head, getconf and /proc",
        ) from None
    gone = {
        key: "no such process"
        for key in sources.keys()  # noqa: SIM118 - not a mapping
        if key not in found.counters and key not in found.unreadable
    }
    return replace(found, unreadable={**found.unreadable, **gone})


def parse(output: bytes) -> Reading:
    """What the command printed. Raises ParseError where it lacks what every kernel tells."""
    sections = _sections(output.decode(errors="replace"))
    tick = proc.whole(_required(sections, "CLK_TCK").strip())
    if not 0 < tick <= 1_000_000:
        raise ParseError(f"{tick} clock ticks a second")
    devices = {HOST: proc.devices(_required(sections, "/proc/net/dev"))}
    unreadable = {}
    for title, text in sections.items():
        process = _PROCESS.fullmatch(title)
        key = f"pid:{process[1]}" if process else title
        if not key.startswith(("pid:", "sandbox:")):
            continue
        try:
            devices[key] = _namespace(text)
        except ParseError as fault:
            unreadable[key] = fault.what
    encrypted: dict[str, dict[str, int]] = {}
    if ESP in sections:
        try:
            encrypted[ESP] = {ESP: _carried(sections[ESP])}
        except ParseError as fault:
            unreadable[ESP] = fault.what
    own = [key for key in devices if key == HOST or _own_process(key, devices)]
    return Reading(
        at=proc.leading(_required(sections, "/proc/uptime")),
        cores=proc.cores(_required(sections, "/proc/stat"), tick),
        load=proc.leading(_required(sections, "/proc/loadavg")),
        retransmits=sum(proc.retransmits(_of(sections, key, "snmp")) for key in own),
        drops=sum(device.drops for key in own for device in devices[key].values())
        + sum(proc.socket_drops(_of(sections, key, "netstat")) for key in own),
        queue_drops=proc.queue_drops(sections.get("/proc/net/softnet_stat", "")),
        pressure=proc.stalled(sections.get("/proc/pressure/cpu", "")),
        frequency=_frequencies(sections),
        counters={
            key: {name: device.moved for name, device in found.items()}
            for key, found in devices.items()
        }
        | encrypted,
        unreadable=unreadable,
    )


def _sections(text: str) -> dict[str, str]:
    _, *parts = _TITLE.split(text)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def _required(sections: Mapping[str, str], title: str) -> str:
    if not sections.get(title, "").strip():
        raise ParseError(f"{title} is missing")
    return sections[title].removeprefix("\n")


def _namespace(text: str) -> dict[str, proc.Device]:
    if "Inter-|" not in text:
        # What nsenter said instead.
        raise ParseError(" ".join(text.split())[-200:] or "nothing was printed")
    return proc.devices(text.removeprefix("\n"))


def _carried(text: str) -> int:
    """The bytes of all associations together: a number for each and a last line."""
    words = text.split()
    if words[-1:] != ["end"] or not all(map(_COUNT.fullmatch, words[:-1])):
        raise ParseError(" ".join(words)[-200:] or "nothing was printed")
    return sum(map(int, words[:-1]))


def _own_process(key: str, devices: Mapping[str, Mapping[str, proc.Device]]) -> bool:
    """Whether this is a process in a namespace of its own: one in the host's sees the same
    interfaces, and its counters would be counted twice."""
    return key.startswith("pid:") and devices[key].keys() != devices[HOST].keys()


def _of(sections: Mapping[str, str], key: str, name: str) -> str:
    at = "/proc" if key == HOST else f"/proc/{key.removeprefix('pid:')}"
    return sections.get(f"{at}/net/{name}", "")


def _frequencies(sections: Mapping[str, str]) -> tuple[float, ...]:
    found = {}
    for title, text in sections.items():
        match = _FREQUENCY.fullmatch(title)
        if match and text.strip():
            found[int(match[1])] = proc.whole(text.strip()) * 1e3
    return tuple(found[core] for core in sorted(found))
