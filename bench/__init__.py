"""What `make bench` measures: the mesh as processes on this machine, and the machine's own limits in the same run.

Each module is a measurement: `run(arena)` yields `Figure`s. Absolute figures drift with the machine, so that a figure
has, where there is one, the limit that it is held against (`ratio`), measured minutes apart at most.
"""
