"""The operator's command line, `python -m ops`: what the services let operators see and do, over gRPC.

It speaks in a name of its own, `ops`, whose key says that it is one of us; it has no database and no other way in.
"""
