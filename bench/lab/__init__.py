"""Several Docker hosts on one machine, for when no other machine is at hand.

A host is a process tree in namespaces of its own with its own ``sshd`` and ``dockerd``; a switch is
one more namespace that holds the bridge between them. The lab writes an ordinary inventory, and
nothing else in netbench knows that it exists. See ``docs/lab.md``.
"""
