"""The RPCs of contacts, a module a proto service."""
