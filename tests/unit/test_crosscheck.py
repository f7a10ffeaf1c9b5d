"""What the cross-check of tools says of what two of them have told."""

from benchmarks.crosscheck import BULK, TRANSACTIONS, Told, rows


def test_the_ratio_is_the_other_tools_to_netbenchs_in_the_same_block() -> None:
    # Blocks differ by a factor, the tools in each by 10 %.
    bulk = [Told(BULK, "host", at, 1e9 * (1 + at), 1.1e9 * (1 + at)) for at in range(8)]
    trips = [Told(TRANSACTIONS, "overlay", at, 2e-4, 1e-4 * (1 + at % 3)) for at in range(9)]
    _, _, first, second = rows([*trips, *bulk])
    assert first == (
        "| throughput, netperf to iperf3 | host | 4.95 and 4.5 Gbit/s | 1.100 (1.100 to 1.100) | "
        "0 % | 8 |"
    )
    assert second.startswith(
        "| mean round trip, sockperf to netperf | overlay | 200 and 200 µs | 1.000 (0.500 to 1.500)"
    )
