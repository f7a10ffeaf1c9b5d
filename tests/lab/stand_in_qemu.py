#!/usr/bin/env python3
"""Stands in for QEMU where a test is about the lab's life and not about a kernel.

What it does is in ``/run/netbench-stand-in``: ``answer`` (greet as an SSH server would), ``hang``,
``panic`` or ``end``.
"""

import re
import socket
import subprocess
import sys
import time
from pathlib import Path

MODE = Path("/run/netbench-stand-in")


def main() -> None:
    words = " ".join(sys.argv)
    console = Path(re.search(r"-serial file:(\S+)", words)[1])
    subnet, number = (int(n, 16) for n in re.search(r"mac=52:54:12:(..):00:(..)", words).groups())
    console.write_text("[    0.0] Linux version 6\n[    1.0] a line of the console\n")
    mode = MODE.read_text()
    if mode == "end":
        sys.exit("qemu-system-x86_64: cannot set up guest memory")
    if mode == "panic":
        with console.open("a") as lines:
            lines.write("[    2.0] Kernel panic - not syncing: No working init found\n")
    if mode == "answer":
        address = f"198.18.{subnet}.{number}"
        subprocess.run(["ip", "address", "add", address, "dev", "br0"], check=True)
        with socket.create_server((address, 22)) as server:
            while True:
                with server.accept()[0] as caller:
                    caller.sendall(b"SSH-2.0-stand-in\r\n")
    time.sleep(600)


main()
