"""Virtual machines as lab hosts: kernels of their own, from Debian packages, under QEMU.

They show which functions work on a kernel and on an engine, not how fast anything is. A machine's
QEMU is the one service of a process 1 like any other lab host's, so both kinds of lab live and end
in the same way. See ``docs/vm-lab.md``.
"""
