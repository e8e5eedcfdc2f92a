"""Channels to the other services of the mesh."""

import json
from collections.abc import Iterable
from functools import partial

import grpc
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions

from kit import trace
from kit.caller import request_id
from kit.identity import HEADER, Identity
from kit.tls import Certificates, RenewedChannel

REQUEST_ID_HEADER = "x-request-id"
# Where the gateway was asked from; believed of the gateway only.
CLIENT_ADDRESS_HEADER = "x-client-address"
# The browser or program that asked the gateway, as it calls itself.
CLIENT_AGENT_HEADER = "x-client-agent"
# What it asked for other than to show a person something: `head`, or what a browser says of a prefetch.
CLIENT_PURPOSE_HEADER = "x-client-purpose"
MESSAGE_BYTES_MAX = 16 * 1024 * 1024

Metadata = tuple[tuple[str, str], ...]


class Peer:
    """Another service: a channel to it, and the assertion that goes with each call. `more` are other files of its
    contract.
    """

    def __init__(
        self,
        file: FileDescriptor,
        address: str,
        identity: Identity,
        certificates: Certificates | None = None,
        more: Iterable[FileDescriptor] = (),
    ) -> None:
        self.service = file.package.split(".")[1]
        self._identity = identity
        options = [
            ("grpc.service_config", service_config([file, *more])),
            ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
            ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
            # A service that was restarted is found again within a second.
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 1000),
            ("grpc.keepalive_time_ms", 60_000),
            # While one replica goes after the other, names are asked for again at once, and not twice a minute.
            ("grpc.dns_min_time_between_resolutions_ms", 1000),
        ]
        if certificates is None:
            self.channel = grpc.aio.insecure_channel(address, options, interceptors=trace.interceptors)
        else:
            secure = partial(grpc.aio.secure_channel, address, options=options, interceptors=trace.interceptors)
            self.channel = RenewedChannel(certificates, lambda: secure(certificates.client()))  # type: ignore[assignment]

    def metadata(
        self, merchant_id: str = "", role: str = "service", user_id: str = "", api_key_id: str = ""
    ) -> Metadata:
        """What a call on behalf of this merchant carries."""
        assertion = self._identity.assertion(self.service, role, merchant_id, user_id, api_key_id)
        carried = ((HEADER, assertion), (REQUEST_ID_HEADER, request_id()))
        return (*carried, (trace.HEADER, trace.current())) if trace.current() else carried


def service_config(files: Iterable[FileDescriptor]) -> str:
    """Round robin over the replicas that say that they serve: one that is about to go is asked nothing more. Retries
    where the contract says that a call has no side effects.
    """
    safe = [
        {"service": service.full_name, "method": method.name}
        for file in files
        for service in file.services_by_name.values()
        for method in service.methods
        if method.GetOptions().idempotency_level == MethodOptions.NO_SIDE_EFFECTS
    ]
    policy = {
        "maxAttempts": 3,
        "initialBackoff": "0.1s",
        "maxBackoff": "1s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
    methods = [{"name": safe, "retryPolicy": policy}] if safe else []
    config = {"loadBalancingConfig": [{"round_robin": {}}], "healthCheckConfig": {"serviceName": ""}}
    return json.dumps(config | {"methodConfig": methods})
