"""Services prove themselves by certificates, and go on while these are renewed."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from grpc_health.v1 import health_pb2, health_pb2_grpc

from astronote.wallet.v1 import wallet_pb2
from deploy.local import ports
from deploy.local.credentials import KeyPair
from kit import tls
from kit.channel import Peer
from kit.identity import Identity
from kit.server import Server
from kit.tls import Certificates

KEYS = {name: KeyPair.generate() for name in ("contacts", "wallet")}
PUBLIC_KEYS = {name: pair.public for name, pair in KEYS.items()}


def identity(service: str) -> Identity:
    return Identity(service, KEYS[service].private, PUBLIC_KEYS)


class Authority:
    """As cert-manager: it signs, and lays what it signed into a folder behind a link."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._signed("authority", self._key.public_key(), is_authority=True)

    def renew(self, folder: Path, name: str) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._signed(name, key.public_key())
        fresh = folder / f"..{certificate.serial_number}"
        fresh.mkdir(parents=True)
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        files = {"tls.crt": _pem(certificate), "tls.key": secret, "ca.crt": _pem(self.certificate)}
        for file, content in files.items():
            (fresh / file).write_bytes(content)
        link = folder / "..new"
        link.symlink_to(fresh.name)
        link.rename(folder / "..data")
        for file in files:
            if not (folder / file).is_symlink():
                (folder / file).symlink_to(f"..data/{file}")

    def _signed(self, name: str, key: ec.EllipticCurvePublicKey, *, is_authority: bool = False) -> x509.Certificate:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(_name("authority"))
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name), x509.DNSName("localhost")]), critical=False)
            .sign(self._key, hashes.SHA256())
        )


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


@pytest.fixture
def authority() -> Authority:
    return Authority()


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "CHECK_SECONDS", 0.0)


async def healthy(channel: grpc.aio.Channel, *, waits: bool = False) -> int:
    stub = health_pb2_grpc.HealthStub(channel)
    answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=5, wait_for_ready=waits)
    return answer.status


async def test_who_shows_no_certificate_of_ours_is_not_served(authority: Authority, tmp_path: Path) -> None:
    authority.renew(tmp_path / "wallet", "wallet")
    authority.renew(tmp_path / "contacts", "contacts")
    stranger = Authority()
    stranger.renew(tmp_path / "stranger", "contacts")
    health_port = ports.free()
    wallet = Server(
        "localhost:0", {}, identity("wallet"), Certificates(str(tmp_path / "wallet")), f"localhost:{health_port}"
    )
    async with wallet:
        address = f"localhost:{wallet.port}"
        peer = Peer(wallet_pb2.DESCRIPTOR, address, identity("contacts"), Certificates(str(tmp_path / "contacts")))
        assert await healthy(peer.channel) == health_pb2.HealthCheckResponse.SERVING
        await peer.channel.close()
        trusting = grpc.ssl_channel_credentials(_pem(authority.certificate))
        for channel in (
            grpc.aio.insecure_channel(address),
            grpc.aio.secure_channel(address, trusting),
            grpc.aio.secure_channel(address, Certificates(str(tmp_path / "stranger")).client()),
        ):
            async with channel:
                with pytest.raises(grpc.aio.AioRpcError) as error:
                    await healthy(channel)
                assert error.value.code() == grpc.StatusCode.UNAVAILABLE
        # A kubelet speaks no TLS; where it asks, nothing but health is served.
        async with grpc.aio.insecure_channel(f"localhost:{health_port}") as probe:
            assert await healthy(probe) == health_pb2.HealthCheckResponse.SERVING
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await probe.unary_unary("/astronote.wallet.v1.WalletService/GetWallet")(b"", timeout=5)
            assert error.value.code() == grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.usefixtures("at_once")
async def test_renewed_certificates_are_shown_and_no_call_is_lost(authority: Authority, tmp_path: Path) -> None:
    authority.renew(tmp_path / "wallet", "wallet")
    authority.renew(tmp_path / "contacts", "contacts")
    certificates = Certificates(str(tmp_path / "wallet"))
    async with Server("localhost:0", {}, identity("wallet"), certificates) as wallet:
        address = f"localhost:{wallet.port}"
        peer = Peer(wallet_pb2.DESCRIPTOR, address, identity("contacts"), Certificates(str(tmp_path / "contacts")))
        stub = health_pb2_grpc.HealthStub(peer.channel)
        before = await asyncio.gather(*(stub.Check(health_pb2.HealthCheckRequest(), timeout=5) for _ in range(20)))
        # Another authority altogether: only who has read both anew gets through.
        other = Authority()
        other.renew(tmp_path / "wallet", "wallet")
        other.renew(tmp_path / "contacts", "contacts")
        after = await asyncio.gather(*(stub.Check(health_pb2.HealthCheckRequest(), timeout=5) for _ in range(20)))
        assert {each.status for each in (*before, *after)} == {health_pb2.HealthCheckResponse.SERVING}
        async with grpc.aio.secure_channel(address, other_client(other, tmp_path)) as fresh:
            assert await healthy(fresh) == health_pb2.HealthCheckResponse.SERVING
    # A process that starts later knows the new authority only: so does the channel that was opened before.
    async with Server(address, {}, identity("wallet"), certificates):
        assert await healthy(peer.channel, waits=True) == health_pb2.HealthCheckResponse.SERVING
        await peer.channel.close()


def other_client(authority: Authority, folder: Path) -> grpc.ChannelCredentials:
    authority.renew(folder / "sender", "sender")
    return Certificates(str(folder / "sender")).client()
