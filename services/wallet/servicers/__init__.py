"""The RPCs of the wallet, a module a proto service."""
