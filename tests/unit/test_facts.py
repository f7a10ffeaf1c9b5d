"""Facts: their parsers on golden output, the data network, and what `gather` makes of a host."""

import contextlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, is_dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import EngineError, HostError, ParseError
from bench.facts import gather, networks_in_use
from bench.facts import host as host_facts
from bench.facts.data_network import DataNetwork, resolve
from bench.facts.fact import Fact, ask
from bench.facts.network import (
    INTERFACES,
    ROUTES,
    Interface,
    Route,
    parse_interfaces,
    parse_routes,
    parse_ssh_connection,
    taken,
)
from bench.model import Host, HostFacts
from bench.remote.api import Completed, EngineFacts, SwarmState

GOLDEN = Path(__file__).parents[1] / "golden" / "facts"
FACTS: dict[str, Fact[Any]] = {
    "interfaces": INTERFACES,
    "routes": ROUTES,
    "cpu_model": host_facts.CPU_MODEL,
    "clock": host_facts.CLOCK,
    "free": host_facts.free_space("/"),
    "user_id": host_facts.USER_ID,
    "link_speed": host_facts.link_speed("eth0"),
    "tuning": host_facts.TUNING,
}
CASES = sorted(path for name in FACTS for path in (GOLDEN / name).glob("*.json"))


def plain(value: object) -> object:
    """A parsed value as JSON would have it."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, tuple | list):
        return [plain(one) for one in value]
    return value if isinstance(value, int | float | str) or value is None else str(value)


def test_every_fact_has_a_good_and_a_dirty_golden_case() -> None:
    for name in FACTS:
        kinds = {"error" in json.loads(path.read_text()) for path in (GOLDEN / name).glob("*.json")}
        assert kinds == {True, False}, name


@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_golden(path: Path) -> None:
    case = json.loads(path.read_text())
    fact = FACTS[path.parent.name]
    assert list(fact.argv) == case["argv"]
    if "error" in case:
        with pytest.raises(ParseError) as caught:
            fact.process(case["output"])
        assert str(caught.value) == case["error"]
    else:
        assert plain(fact.process(case["output"])) == case["expected"]


KEYS = [
    *("ifname", "mtu", "addr_info", "family", "local", "prefixlen", "secondary"),
    *("dst", "dev", "prefsrc", "metric", "nexthops"),
    *("lscpu", "field", "data", "children"),
]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(KEYS),
            inner | st.sampled_from(["inet", "default", "10.0.0.1", "10.0.0.0/8", "Model name:"]),
            max_size=5,
        )
    ),
    max_leaves=25,
)


@pytest.mark.parametrize("name", FACTS)
@given(
    text=st.text(max_size=60)
    | json_values.map(json.dumps)
    | st.dictionaries(st.sampled_from(KEYS), json_values).map(lambda one: json.dumps([one]))
)
def test_parsers_raise_nothing_but_their_own_error(name: str, text: str) -> None:
    with contextlib.suppress(ParseError):
        FACTS[name].process(text)


@pytest.mark.parametrize("name", FACTS)
@pytest.mark.parametrize("broken", [0.0, 0.3, 0.7, 0.95])
def test_parsers_survive_a_cut_at_any_place(name: str, broken: float) -> None:
    for path in (GOLDEN / name).glob("*.json"):
        text = json.loads(path.read_text())["output"]
        with contextlib.suppress(ParseError):
            FACTS[name].process(text[: int(len(text) * broken)])


def interface(name: str, *addresses: str, mtu: int = 1500, secondary: str = "") -> Interface:
    extra = (IPv4Interface(secondary),) if secondary else ()
    return Interface(name, mtu, tuple(IPv4Interface(one) for one in addresses), extra)


def route(network: str, dev: str, source: str = "", metric: int = 0) -> Route:
    return Route(IPv4Network(network), dev, IPv4Address(source) if source else None, metric)


LO = interface("lo", "127.0.0.1/8", mtu=65536)
ETH0 = interface("eth0", "192.0.2.5/24", secondary="192.0.2.9/24")
ETH1 = interface("eth1", "10.0.0.5/24", mtu=9000)
DOCKER0 = interface("docker0", "172.17.0.1/16")
HAS = (LO, ETH0, ETH1, DOCKER0)
DEFAULT = (route("0.0.0.0/0", "eth0"), route("10.0.0.0/24", "eth1", "10.0.0.5"))


@pytest.mark.parametrize(
    ("host", "reached_at", "expected"),
    [
        (Host("a", "192.0.2.5"), None, DataNetwork("192.0.2.5", "eth0", 1500)),
        (Host("a", "10.0.0.5"), None, DataNetwork("10.0.0.5", "eth1", 9000)),
        (Host("a", "192.0.2.9"), None, DataNetwork("192.0.2.9", "eth0", 1500)),
        # behind a NAT, or by name: where SSH arrived, else the default route
        (Host("a", "203.0.113.7"), "10.0.0.5", DataNetwork("10.0.0.5", "eth1", 9000)),
        (Host("a", "node1"), "10.0.0.5", DataNetwork("10.0.0.5", "eth1", 9000)),
        (Host("a", "203.0.113.7"), None, DataNetwork("192.0.2.5", "eth0", 1500)),
        (Host("a", "127.0.0.1"), "127.0.0.1", DataNetwork("192.0.2.5", "eth0", 1500)),
        # what the inventory says comes first
        (
            Host("a", "192.0.2.5", data_address="10.0.0.5"),
            None,
            DataNetwork("10.0.0.5", "eth1", 9000),
        ),
        (
            Host("a", "192.0.2.5", data_interface="eth1"),
            None,
            DataNetwork("10.0.0.5", "eth1", 9000),
        ),
        (
            Host("a", "192.0.2.5", data_address="192.0.2.9", data_interface="eth0"),
            None,
            DataNetwork("192.0.2.9", "eth0", 1500),
        ),
    ],
)
def test_data_network(host: Host, reached_at: str | None, expected: DataNetwork) -> None:
    arrived = IPv4Address(reached_at) if reached_at else None
    assert resolve(host, HAS, DEFAULT, arrived) == expected


TWINS = (LO, interface("eth0", "10.0.0.5/24", "10.1.0.5/24"), interface("eth1", "10.0.0.5/24"))


@pytest.mark.parametrize(
    ("host", "interfaces", "routes", "said"),
    [
        (
            Host("db", "x", data_address="10.9.9.9"),
            HAS,
            DEFAULT,
            ("there is no address 10.9.9.9", "netbench_data_address", "10.0.0.5 (eth1)"),
        ),
        (
            Host("db", "x", data_interface="ens7"),
            HAS,
            DEFAULT,
            ("has no interface ens7", "netbench_data_interface"),
        ),
        (
            Host("db", "x", data_address="10.0.0.5", data_interface="eth0"),
            HAS,
            DEFAULT,
            ("no address 10.0.0.5 on its interface eth0",),
        ),
        (
            Host("db", "x", data_interface="lo"),
            HAS,
            DEFAULT,
            ("no IPv4 address on its interface lo",),
        ),
        (
            Host("db", "x", data_interface="eth0"),
            TWINS,
            (),
            ("any of 10.0.0.5 (eth0), 10.1.0.5 (eth0)", "netbench_data_address"),
        ),
        (
            Host("db", "x", data_address="10.0.0.5"),
            TWINS,
            (),
            ("any of", "netbench_data_interface"),
        ),
        (Host("db", "203.0.113.7"), HAS, (), ("no default route", "netbench_data_address")),
        (
            Host("db", "x"),
            HAS,
            (route("0.0.0.0/0", "eth0"), route("0.0.0.0/0", "eth1")),
            ("several addresses", "netbench_data_address"),
        ),
        (Host("db", "x"), (LO,), (route("0.0.0.0/0", "wg0"),), ("no address", "once it has any")),
    ],
)
def test_data_network_that_cannot_be_told(
    host: Host, interfaces: Sequence[Interface], routes: Sequence[Route], said: Sequence[str]
) -> None:
    with pytest.raises(HostError) as caught:
        resolve(host, interfaces, routes)
    assert str(caught.value).startswith("db: ")
    for words in said:
        assert words in str(caught.value)


def test_the_default_route_of_least_metric_and_its_source_decide() -> None:
    two = interface("eth0", "192.0.2.5/24", "192.0.3.5/24")
    routes = (
        route("0.0.0.0/0", "eth1", metric=200),
        route("0.0.0.0/0", "eth0", "192.0.3.5", metric=100),
    )
    found = resolve(Host("a", "x"), (LO, two, ETH1), routes)
    assert found == DataNetwork("192.0.3.5", "eth0", 1500)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("198.18.0.254 50022 198.18.0.1 22\n", IPv4Address("198.18.0.1")),
        ("::ffff:10.0.0.9 50022 ::ffff:10.0.0.1 22", IPv4Address("10.0.0.1")),
        ("fd00::9 50022 fd00::1 22", None),
        ("", None),
        ("a b c d", None),
    ],
)
def test_where_ssh_arrived(text: str, address: IPv4Address | None) -> None:
    assert parse_ssh_connection(text) == address


def test_networks_in_use_of_a_busy_machine() -> None:
    interfaces = json.loads((GOLDEN / "interfaces/busy-machine.json").read_text())["output"]
    routes = json.loads((GOLDEN / "routes/busy-machine.json").read_text())["output"]
    assert list(map(str, taken(parse_interfaces(interfaces), parse_routes(routes)))) == [
        "10.6.0.1/32", "10.6.0.2/32", "10.50.1.7/32", "10.51.0.0/16", "10.99.0.0/16",
        "127.0.0.0/8", "172.17.0.0/16", "198.18.70.0/24", "198.18.71.0/25",
    ]  # fmt: skip


class OneHost:
    """A machine that answers commands from a table; what is not in it is not installed."""

    def __init__(self, host: Host, answers: dict[str, str], engine: EngineFacts | None) -> None:
        self.host = host
        self.answers = answers
        self._engine = engine

    @property
    def shell(self) -> "OneHost":
        return self

    @property
    def engine(self) -> "OneHost":
        return self

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 10.0) -> Completed:
        command = " ".join(argv)
        if command not in self.answers:
            return Completed(127, b"", f"sh: 1: {argv[0]}: not found\n".encode())
        return Completed(0, self.answers[command].encode(), b"")

    def facts(self) -> EngineFacts:
        if self._engine is None:
            raise EngineError(self.host.name, "its engine does not answer", "start it")
        return self._engine


def golden(case: str) -> str:
    text: str = json.loads((GOLDEN / f"{case}.json").read_text())["output"]
    return text


@pytest.fixture
def one_host() -> Callable[..., OneHost]:
    engine = EngineFacts(
        "26.1.5+dfsg1", "6.12.43", "Debian GNU/Linux 13 (trixie)", "x86_64", 2, 4 << 30,
        "overlay2", "/var/lib/docker", SwarmState("inactive"),
    )  # fmt: skip

    def make(*, without: Sequence[str] = (), running: bool = True) -> OneHost:
        answers = {
            "ip -j addr show": golden("interfaces/plain"),
            "ip -j route show": golden("routes/plain"),
            " ".join(host_facts.link_speed("ens3").argv): golden("link_speed/ten-gigabit"),
            "env LC_ALL=C lscpu -J": golden("cpu_model/amd-epyc-vm"),
            " ".join(host_facts.TUNING.argv): golden("tuning/all-kinds"),
        }
        for command in without:
            del answers[command]
        return OneHost(Host("db", "198.18.72.2"), answers, engine if running else None)

    return make


def test_gather(one_host: Callable[..., Any]) -> None:
    assert gather(one_host()) == HostFacts(
        name="db",
        os="Debian GNU/Linux 13 (trixie)",
        kernel="6.12.43",
        engine="26.1.5+dfsg1",
        architecture="x86_64",
        cpus=2,
        memory=4 << 30,
        data_address="198.18.72.2",
        data_interface="ens3",
        data_mtu=1500,
        cpu_model="AMD EPYC",
        storage_driver="overlay2",
        link_speed=1e10,
        tuning=("governor=performance", "irq-cpus=0-1", "tx-udp_tnl-segmentation=off"),
    )


def test_gather_does_without_a_speed(one_host: Callable[..., Any]) -> None:
    speed = " ".join(host_facts.link_speed("ens3").argv)
    assert gather(one_host(without=[speed])).link_speed is None


def test_gather_does_without_lscpu(one_host: Callable[..., Any]) -> None:
    assert gather(one_host(without=["env LC_ALL=C lscpu -J"])).cpu_model == ""


def test_gather_names_the_host_and_the_missing_command(one_host: Callable[..., Any]) -> None:
    with pytest.raises(HostError, match=r"db: `ip -j addr show` failed: .*not found; .*iproute2"):
        gather(one_host(without=["ip -j addr show"]))


def test_gather_needs_the_engine(one_host: Callable[..., Any]) -> None:
    with pytest.raises(EngineError, match="db: its engine does not answer"):
        gather(one_host(running=False))


def test_output_that_is_no_fact_names_host_and_command(one_host: Callable[..., Any]) -> None:
    host = one_host()
    host.answers["ip -j route show"] = "default via 10.0.0.1 dev eth0\n"
    with pytest.raises(HostError, match="db: `ip -j route show` printed no JSON"):
        networks_in_use(host)


def test_networks_in_use(one_host: Callable[..., Any]) -> None:
    found = networks_in_use(one_host())
    assert found == (IPv4Network("127.0.0.0/8"), IPv4Network("198.18.72.0/24"))


def test_ask_tells_what_to_do(one_host: Callable[..., Any]) -> None:
    with pytest.raises(HostError) as caught:
        ask(one_host(), host_facts.free_space("/a b"))
    assert "'/a b'" in caught.value.what
    assert "coreutils" in caught.value.hint
