"""TLS to the store: a real server, certificates made here; a wrong authority, name or client is refused."""

from __future__ import annotations

import datetime as dt
import ipaddress
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from redis import Redis
from tests.security.running import Api
from tests.security.servers import free_port, redis_7, server


class Authority:
    """Signs certificates, and writes them with their keys to a folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.file = self._write(name, self._sign(self._name, self._key, None))

    def certificate(self, name: str, address: str) -> tuple[Path, Path]:
        """Give the files of certificate and key for a server at this address."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        file = self._write(name, self._sign(subject, key, address))
        key_file = self._folder / f"{name}.key"
        key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return file, key_file

    def _write(self, name: str, certificate: x509.Certificate) -> Path:
        file = self._folder / f"{name}.pem"
        file.write_bytes(certificate.public_bytes(Encoding.PEM))
        return file

    def _sign(
        self, subject: x509.Name, key: EllipticCurvePrivateKey, address: str | None
    ) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(minutes=5))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=address is None, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
            )
        )
        if address is None:
            usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)  # noqa: FBT003
            builder = builder.add_extension(usage, critical=True)
        else:
            names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self._key, hashes.SHA256())


@contextmanager
def tls_server(authority: Authority, folder: Path, address: str, clients: str) -> Iterator[int]:
    certificate, key = authority.certificate(f"server-{address}", address)
    own, own_key = authority.certificate("looker", "127.0.0.1")
    port = free_port()
    look = Redis(
        port=port,
        ssl=True,
        ssl_ca_certs=str(authority.file),
        ssl_certfile=str(own),
        ssl_keyfile=str(own_key),
        ssl_check_hostname=False,
    )
    options = {
        "--port": "0",
        "--tls-port": str(port),
        "--tls-cert-file": str(certificate),
        "--tls-key-file": str(key),
        "--tls-ca-cert-file": str(authority.file),
        "--tls-auth-clients": clients,
    }
    with server(redis_7(folder), folder, look, *(text for pair in options.items() for text in pair)):
        yield port


def ready(url: str, expected: int) -> bool:
    """Tell whether /readyz of an API on this store comes to answer so; a busy machine may take its time to say yes."""
    with Api(url) as api:
        deadline = time.monotonic() + 30.0
        while (status := api.get("/readyz").status_code) != expected and time.monotonic() < deadline:
            time.sleep(0.2)
        return status == expected


def test_the_server_must_be_who_it_says(tmp_path: Path) -> None:
    authority, other = Authority(tmp_path, "authority"), Authority(tmp_path, "other")
    with tls_server(authority, tmp_path, "127.0.0.1", "no") as port:
        url = f"rediss://127.0.0.1:{port}/0"
        assert ready(f"{url}?ssl_ca_certs={authority.file}", 200)
        assert ready(f"{url}?ssl_ca_certs={other.file}", 503)
        assert ready(url, 503)  # the system's authorities do not know it
        assert ready(f"redis://127.0.0.1:{port}/0", 503)


def test_a_certificate_for_another_address_is_refused(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "authority")
    with tls_server(authority, tmp_path, "127.0.0.2", "no") as port:
        assert ready(f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={authority.file}", 503)


def test_a_server_may_ask_for_the_client_s_certificate(tmp_path: Path) -> None:
    authority, other = Authority(tmp_path, "authority"), Authority(tmp_path, "other")
    certificate, key = authority.certificate("client", "127.0.0.1")
    foreign, foreign_key = other.certificate("foreign", "127.0.0.1")
    with tls_server(authority, tmp_path, "127.0.0.1", "yes") as port:
        url = f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={authority.file}"
        assert ready(f"{url}&ssl_certfile={certificate}&ssl_keyfile={key}", 200)
        assert ready(f"{url}&ssl_certfile={foreign}&ssl_keyfile={foreign_key}", 503)
        assert ready(url, 503)


@pytest.mark.parametrize("scheme", ["redis", "rediss"])
def test_the_password_of_an_address_is_not_told(tmp_path: Path, scheme: str) -> None:
    with Api(f"{scheme}://nplmon-api:very-secret@127.0.0.1:1/0") as api:
        answers = [api.get(path).text for path in ("/readyz", "/v1/monitors", "/metrics", "/v1/system")]
        assert "very-secret" not in "".join(answers) + api.said
