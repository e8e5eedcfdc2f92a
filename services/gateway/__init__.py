"""The gateway: JSON over HTTP in, gRPC out, from the contracts alone.

It owns nothing: no database, no events, and no line of code for any one endpoint. What it knows of a method (route,
access, limits, fields, comments) it reads from the descriptors of `astronote.*` when it starts.
"""
