"""A lab's links: what is typed, what tc is told, what is recorded and what a run makes of it."""

import errno
import os
import stat
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from bench.cli import lab as cli
from bench.cli._types import Delay, Loss, Rate
from bench.errors import LabError, UsageError
from bench.inventory import load_inventory
from bench.lab import handout, layout, lifecycle, link, processes, shaping, state
from bench.lab.handout import Keys, Owner
from bench.lab.layout import SWITCH, Lab, Link, Machines
from bench.units import FASTEST, SLOWEST, bit_rate, exact

LAB = Lab("lab", 7, 2, complete=True)
CONTROL = IPv4Network("198.18.7.252/30")

# --- what is typed


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("1gbit", 1e9),
        ("100mbit", 1e8),
        ("2.5Gbit/s", 2.5e9),
        ("10 Gbit/s", 1e10),
        ("250kbps", None),
        ("250kbitps", 250e3),
        ("1000000bit", 1e6),
    ],
)
def test_rates_are_read(text: str, rate: float | None) -> None:
    if rate is None:
        with pytest.raises(click.BadParameter, match="write a rate like 100mbit"):
            Rate().convert(text, None, None)
    else:
        assert Rate().convert(text, None, None) == pytest.approx(rate)


@pytest.mark.parametrize(
    "text",
    ["", "1", "1000", "1g", "1MB/s", "1mbyte", "-1mbit", "0mbit", "1e9bit", "nan", "\u0661mbit"],
)
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        Rate().convert(text, None, None)


@pytest.mark.parametrize("text", ["99kbit", "401gbit", "999999999999tbit"])
def test_a_rate_that_no_link_has_is_refused_with_the_bounds(text: str) -> None:
    with pytest.raises(ValueError, match=r"from 100 kbit/s to 400 Gbit/s"):
        bit_rate(text)


@given(st.floats(SLOWEST * 1.01, FASTEST * 0.99))
def test_every_rate_that_is_told_can_be_typed(rate: float) -> None:
    assert bit_rate(exact(rate, "bit/s")) == pytest.approx(rate, rel=1e-8)


@given(st.text(max_size=12))
def test_any_text_is_a_link_within_bounds_or_a_clear_complaint(text: str) -> None:
    complaints = []
    for kind, low, high in ((Rate(), SLOWEST, FASTEST), (Delay(), 0, 10), (Loss(), 0, 1)):
        try:
            assert low <= kind.convert(text, None, None) <= high
        except click.BadParameter as fault:
            complaints.append(fault.message)
    assert all(repr(text) in complaint for complaint in complaints)


@pytest.mark.parametrize(
    ("text", "delay"),
    [("10ms", 0.01), ("250us", 250e-6), ("250 µs", 250e-6), ("1.5s", 1.5), ("0ms", 0), ("10s", 10)],
)
def test_delays_are_read(text: str, delay: float) -> None:
    assert Delay().convert(text, None, None) == pytest.approx(delay)


@pytest.mark.parametrize("text", ["", "10", "-1ms", "10.001s", "1m", "1h", "ms", "1e3ms", "99999s"])
def test_what_is_no_delay_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        Delay().convert(text, None, None)


@pytest.mark.parametrize(("text", "loss"), [("0.1%", 0.001), ("0 %", 0), ("100%", 1), ("2%", 0.02)])
def test_losses_are_read(text: str, loss: float) -> None:
    assert Loss().convert(text, None, None) == pytest.approx(loss)


@pytest.mark.parametrize("text", ["", "1", "0.001", "-1%", "100.1%", "999%", "%", "one%"])
def test_what_is_no_loss_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        Loss().convert(text, None, None)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--off", "--rate", "1gbit"], "--off goes with none"),
        (["--host", "lab1"], "--host needs"),
        (["--delay", "0ms"], "use --off"),
        (["--loss", "101%"], "0% to 100%"),
        (["--rate", "fast"], "100mbit or 2.5gbit"),
    ],
)
def test_what_makes_no_sense_is_said_before_anything_is_done(words: list[str], said: str) -> None:
    done = CliRunner().invoke(cli.command, ["link", *words])
    assert done.exit_code == 2
    assert said in " ".join(done.output.split())


# --- what tc is told

links = st.builds(
    Link,
    st.none() | st.floats(SLOWEST, FASTEST),
    st.floats(0, 10),
    st.floats(0, 1),
)


def told(words: tuple[str, ...], name: str) -> str:
    return words[words.index(name) + 1]


@given(links)
def test_a_queue_is_sized_for_its_rate(shape: Link) -> None:
    orders = list(shaping.towards("port1", shape, CONTROL))
    (group,) = [words for words in orders if words[0] == "class"]
    (leaf,) = [words for words in orders if "handle" in words and told(words, "handle") == "10:"]
    rate = float(told(group, "rate").removesuffix("bit"))
    assert rate == pytest.approx((shape.rate or FASTEST) * 1514 / 1538, rel=1e-4)
    burst = int(told(group, "burst"))
    # A late clock costs nothing, and no second carries more than half a percent too much; but two
    # packets must fit, which on slow links is more than that.
    assert burst * 8 >= rate * 0.0039
    assert burst * 8 <= max(rate * 0.005, 2 * 1514 * 8)
    limit = int(told(leaf, "limit"))
    if "netem" in leaf:
        assert limit >= 1000
        assert limit * 1514 * 8 >= rate * shape.delay
    else:
        assert (shape.delay, shape.loss) == (0, 0)
        assert limit >= 2 * 65536
        assert limit * 8 >= rate * 0.019


@given(links)
def test_the_controller_and_arp_pass_a_link_that_loses_all(shape: Link) -> None:
    for orders, way in (
        (shaping.towards("port1", shape, CONTROL), "src"),
        (shaping.outwards("port1", "up1", shape, CONTROL), "dst"),
        (shaping.within("eth0", shape, CONTROL), "dst"),
    ):
        past = [
            words for words in orders if words[0] == "filter" and words[-2:] == ("flowid", "1:")
        ]
        matches = [" ".join(words[words.index("protocol") + 1 :]) for words in past]
        assert matches == [
            f"ip prio 1 u32 match ip {way} 198.18.7.252/30 flowid 1:",
            "arp prio 2 u32 match u32 0 0 flowid 1:",
        ]


def test_delay_and_loss_are_met_once_between_two_hosts() -> None:
    shape = Link(1e9, 0.01, 0.001)
    assert any("netem" in words for words in shaping.towards("port1", shape, CONTROL))
    assert not any("netem" in words for words in shaping.outwards("port1", "up1", shape, CONTROL))
    assert not any("netem" in words for words in shaping.towards("port1", Link(1e9), CONTROL))
    (netem,) = [words for words in shaping.within("eth0", shape, CONTROL) if "netem" in words]
    assert " ".join(netem).endswith("delay 10000us loss random 0.1%")


def test_no_host_has_an_address_of_the_controllers() -> None:
    most = Lab("lab", 7, layout.MAX_HOSTS)
    assert link._control(most) == CONTROL
    assert not any(address in CONTROL for address in most.hosts.values())
    assert most.controller in CONTROL
    assert most.packages in CONTROL


# --- what is done, and recorded


@pytest.fixture
def inventory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The inventory of LAB, whose record is there and whose switch is process 77."""
    monkeypatch.setattr(layout, "STATE_ROOT", tmp_path / "run/netbench/lab")
    monkeypatch.setattr(layout, "DATA_ROOT", tmp_path / "var/netbench/lab")
    monkeypatch.setattr(processes, "firsts", lambda _: {SWITCH: 77})
    monkeypatch.setattr(link, "find", lambda tool: tool)
    path = tmp_path / "hosts/lab.yaml"
    lab = replace(LAB, handouts=(path,))
    keys = Keys("PRIVATE\n", dict.fromkeys(LAB.hosts, "ssh-ed25519 AAAA x"))
    with state.locked():
        state.save(lab)
    handout.write(lab, keys, path, Owner(os.getuid(), os.getgid()))
    return path


class Kernel:
    """Notes what it is told in the switch; what has one of ``lacks`` in it fails."""

    def __init__(self, *lacks: str) -> None:
        self.lacks = lacks
        self.told: list[str] = []

    def __call__(self, argv: tuple[str, ...]) -> str | None:
        said = " ".join(argv)
        self.told.append(said)
        lacking = next((one for one in self.lacks if one in said), None)
        return "Error: Specified qdisc kind is unknown." if lacking else None


def test_a_run_finds_the_link_in_the_inventory(
    inventory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "_run", Kernel())
    plain = inventory.read_text()
    link.shape("lab", Link(1e9, 0.01, 0.001), ["lab2"])
    one, other = load_inventory(inventory).hosts
    assert (one.line_rate, one.emulated_link) == (None, "")
    assert other.line_rate == 1e9
    assert other.emulated_link == "rate 1 Gbit/s, delay 10 ms, loss 0.1 %"
    assert stat.S_IMODE(inventory.stat().st_mode) == 0o644
    link.shape("lab", None)
    assert inventory.read_text() == plain
    record = state.load("lab")
    assert record is not None
    assert record.links == {}


def test_the_record_tells_links_hosts_and_machines(inventory: Path) -> None:
    lab = replace(LAB, machines=Machines(), links={"lab1": Link(1e9, within=True)})
    state.save(lab)
    assert state.load("lab") == lab


def test_what_is_set_replaces_what_was(inventory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel()
    monkeypatch.setattr(link, "_run", kernel)
    link.shape("lab", Link(1e9, 0.01))
    once = list(kernel.told)
    kernel.told.clear()
    lab = link.shape("lab", Link(1e8))
    assert [said for said in kernel.told if "netem" in said] == []
    assert lab.links == {"lab1": Link(1e8), "lab2": Link(1e8)}
    kernel.told.clear()
    link.shape("lab", Link(1e9, 0.01))
    assert kernel.told == once
    assert all(said.startswith(("nsenter --net=/proc/77/", "/")) for said in once)


def test_a_host_is_cut_off_from_all_but_the_controller_and_put_on_again(
    inventory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = Kernel()
    monkeypatch.setattr(link, "_run", kernel)
    monkeypatch.setattr(processes, "firsts", lambda _: {SWITCH: 77, "lab2": 78})
    link.cut("lab", "lab2", off=True)
    cut = list(kernel.told)
    assert all(said.startswith("nsenter --net=/proc/78/ns/net -- iptables -w -I ") for said in cut)
    assert "INPUT -i eth0 ! -s 198.18.7.254 -j DROP" in cut[0]
    kernel.told.clear()
    link.cut("lab", "lab2", off=False)
    assert kernel.told == [said.replace(" -I ", " -D ") for said in cut]
    with pytest.raises(UsageError, match="no host nobody"):
        link.cut("lab", "nobody", off=True)
    with pytest.raises(LabError, match="lab1 is not running"):
        link.cut("lab", "lab1", off=True)
    monkeypatch.setattr(link, "_run", Kernel("FORWARD"))
    with pytest.raises(LabError, match="lab2: `iptables"):
        link.cut("lab", "lab2", off=True)


def test_a_virtual_machine_cuts_itself_off(
    inventory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state.save(replace(LAB, machines=Machines()))
    monkeypatch.setattr(link, "_run", Kernel())
    monkeypatch.setattr(processes, "firsts", lambda _: {SWITCH: 77, "lab2": 78})
    told: list[tuple[str, str]] = []

    def ask(_lab: Lab, host: str, command: str, _timeout: float) -> str:
        told.append((host, command))
        return "done\n"

    monkeypatch.setattr(link.machines, "ask", ask)
    link.cut("lab", "lab2", off=True)
    link.cut("lab", "lab2", off=False)
    (host, cut), (other, mended) = told
    assert host == other == "lab2"
    assert "iptables -w -I OUTPUT -o eth0 '!' -d 198.18.7.254 -j DROP" in cut.splitlines()
    assert mended == cut.replace(" -I ", " -D ")
    monkeypatch.setattr(link.machines, "ask", lambda *_args: "")
    with pytest.raises(LabError, match=r"lab2: .* does not answer"):
        link.cut("lab", "lab2", off=True)


def test_an_inventory_that_was_removed_stays_away(
    inventory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "_run", Kernel())
    inventory.unlink()
    link.shape("lab", Link(1e9))
    assert not inventory.exists()
    inventory.write_text("mine\n")
    link.shape("lab", None)
    assert inventory.read_text() == "mine\n"


def test_without_netem_namespaces_cannot_delay_and_it_says_who_can(
    inventory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = Kernel("netem")
    monkeypatch.setattr(link, "_run", kernel)
    link.shape("lab", Link(1e9))
    kernel.told.clear()
    with pytest.raises(LabError, match=r"no netem \(module sch_netem\).*--backend vm") as caught:
        link.shape("lab", Link(1e8, 0.01))
    assert "\n" not in str(caught.value)
    # Nothing was touched: the rate that was set is still what is recorded.
    assert len(kernel.told) == 1
    record = state.load("lab")
    assert record is not None
    assert record.links["lab2"] == Link(1e9)


def test_without_netem_virtual_machines_delay_what_they_send(
    inventory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str]] = []

    def ask(lab: Lab, host: str, command: str, timeout: float) -> str:
        asked.append((host, command))
        return "RTNETLINK answers\ndone\n"

    monkeypatch.setattr(link, "_run", Kernel("netem"))
    monkeypatch.setattr(link.machines, "ask", ask)
    state.save(replace(LAB, machines=Machines()))
    lab = link.shape("lab", Link(1e9, 0.01))
    assert lab.links["lab1"] == Link(1e9, 0.01, within=True)
    assert [host for host, _ in asked] == ["lab1", "lab2"]
    assert all("delay 10000us" in command for _, command in asked)
    asked.clear()
    assert link.shape("lab", None).links == {}
    assert [host for host, _ in asked] == ["lab1", "lab2"]
    assert not any("delay" in command for _, command in asked)


def test_a_machine_that_does_not_answer_is_named_and_none_is_shaped(
    inventory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = Kernel("netem")
    monkeypatch.setattr(link, "_run", kernel)
    monkeypatch.setattr(
        link.machines, "ask", lambda lab, host, *_: "done" if host == "lab1" else ""
    )
    state.save(replace(LAB, machines=Machines()))
    with pytest.raises(LabError, match=r"lab2: its link cannot be set.*does not answer"):
        link.shape("lab", Link(None, 0.01))
    record = state.load("lab")
    assert record is not None
    assert record.links == {}
    assert "qdisc del dev port2 root" in kernel.told[-3]


@pytest.mark.parametrize("wanted", [None, Link(1e8, 0.02)])
def test_what_remains_of_a_link_is_what_is_recorded(
    inventory: Path, monkeypatch: pytest.MonkeyPatch, wanted: Link | None
) -> None:
    """A machine that answers no more keeps its delay; its rate and other links are gone."""
    monkeypatch.setattr(link, "_run", Kernel("netem"))
    answers = {"lab1": "done", "lab2": "done"}
    monkeypatch.setattr(link.machines, "ask", lambda lab, host, *_: answers[host])
    state.save(replace(LAB, machines=Machines()))
    link.shape("lab", Link(1e9, 0.01))
    for lost, kept in (("lab1", "lab2"), ("lab2", "lab1")):
        answers |= {lost: "", kept: "done"}
        with pytest.raises(LabError, match=f"{lost}: its link cannot be set"):
            link.shape("lab", wanted)
        record = state.load("lab")
        assert record is not None
        assert record.links == {lost: Link(None, 0.01, within=True)}
        answers[lost] = "done"
        link.shape("lab", Link(1e9, 0.01))


def test_a_full_disk_is_said_in_one_line(inventory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "_run", Kernel())

    def full(lab: Lab) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/run/netbench/lab")

    monkeypatch.setattr(state, "save", full)
    with pytest.raises(LabError, match="lab lab: /run/netbench/lab: No space left on device"):
        link.shape("lab", Link(1e9))


@pytest.mark.parametrize("lack", ["htb", "u32", "mirred", "ifb up"])
def test_a_kernel_that_cannot_shape_is_said_in_one_line(
    inventory: Path, monkeypatch: pytest.MonkeyPatch, lack: str
) -> None:
    monkeypatch.setattr(link, "_run", Kernel(lack if lack != "ifb up" else "type ifb"))
    with pytest.raises(LabError, match=r"lab1: `(tc|ip) .*cannot shape links.*sch_htb") as caught:
        link.shape("lab", Link(1e9))
    assert "\n" not in str(caught.value)
    record = state.load("lab")
    assert record is not None
    assert record.links == {}


def test_hosts_and_labs_that_there_are_not(
    inventory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "_run", Kernel())
    with pytest.raises(UsageError, match="no host lab9; its hosts are lab1, lab2"):
        link.shape("lab", Link(1e9), ["lab9"])
    monkeypatch.setattr(processes, "found", lambda _: [])
    with pytest.raises(LabError, match="there is no lab other"):
        link.look("other")
    state.save(replace(LAB, complete=False))
    with pytest.raises(LabError, match="not complete"):
        link.shape("lab", None)


def test_a_lab_without_its_switch(inventory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "firsts", lambda _: {})
    with pytest.raises(LabError, match="its switch is not running"):
        link.shape("lab", Link(1e9))
    assert lifecycle.find("lab") is not None


# --- inventories in general


def test_a_line_rate_may_be_anybodys(tmp_path: Path) -> None:
    path = tmp_path / "hosts.yaml"
    path.write_text("all: {hosts: {a: {netbench_line_rate: 5gbit}}}\n")
    assert load_inventory(path).hosts[0].line_rate == 5e9
    path.write_text("all: {hosts: {a: {netbench_line_rate: 5 GB}}}\n")
    with pytest.raises(UsageError, match="netbench_line_rate is '5 GB'; write a rate like 100mbit"):
        load_inventory(path)
