"""Certificates of the mesh, in PEM, as cert-manager lays them into a folder: `tls.crt`, `tls.key` and `ca.crt`.

They are read again when they change: a server shows the new one from the next handshake on, and a channel is opened
anew, since gRPC takes the certificate of a client only once.
"""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import grpc

CHECK_SECONDS = 10.0
# Calls on the connections of an old certificate go on to their end.
GRACE_SECONDS = 3600.0
KINDS = ("unary_unary", "unary_stream", "stream_unary")


class Certificates:
    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)

    def version(self) -> Path:
        """Where the files really are: Kubernetes renews all of them at once, by one link to another folder."""
        return (self._folder / "tls.crt").resolve().parent

    def client(self) -> grpc.ChannelCredentials:
        return grpc.ssl_channel_credentials(*self._read())

    def server(self) -> grpc.ServerCredentials:
        """Only who shows a certificate of the same authority is served."""
        return grpc.dynamic_ssl_server_credentials(self._shown(), self._shown, require_client_authentication=True)

    def _shown(self) -> grpc.ServerCertificateConfiguration:
        authority, key, chain = self._read()
        return grpc.ssl_server_certificate_configuration([(key, chain)], root_certificates=authority)

    def _read(self) -> tuple[bytes, bytes, bytes]:
        folder = self.version()
        return (folder / "ca.crt").read_bytes(), (folder / "tls.key").read_bytes(), (folder / "tls.crt").read_bytes()


class RenewedChannel:
    """A `grpc.aio.Channel`, as far as stubs use one, that is opened anew when the certificates changed."""

    def __init__(self, certificates: Certificates, open: Callable[[], grpc.aio.Channel]) -> None:
        self._certificates, self._open = certificates, open
        self._channel, self._version, self._check_time = open(), certificates.version(), time.monotonic()
        self._closing: set[asyncio.Task[None]] = set()

    def __getattr__(self, name: str) -> Any:
        return partial(self._stub, name) if name in KINDS else getattr(self._current(), name)

    def _stub(self, kind: str, *how: Any, **codec: Any) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            return getattr(self._current(), kind)(*how, **codec)(*arguments, **options)

        return call

    def _current(self) -> grpc.aio.Channel:
        now = time.monotonic()
        if now - self._check_time >= CHECK_SECONDS:
            self._check_time = now
            if (version := self._certificates.version()) != self._version:
                old, self._channel, self._version = self._channel, self._open(), version
                closing = asyncio.create_task(old.close(GRACE_SECONDS))
                self._closing.add(closing)
                closing.add_done_callback(self._closing.discard)
        return self._channel
