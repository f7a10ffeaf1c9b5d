"""Many runs of the same machines, one after the other: what changed, and since when.

For asv (airspeed velocity), whose pages and commands show it, and for a gate of netbench's own.
asv itself is imported only where its files are written or read.
"""
