"""The RPCs of campaigns, a module a proto service."""
