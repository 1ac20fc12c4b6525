"""A small OIDC issuer on loopback, with keys of its own."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

AUDIENCE = "nplmon"
PrivateKey = RSAPrivateKey | EllipticCurvePrivateKey


def rsa_key(bits: int = 2048) -> RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


def public_pem(key: PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


class SmallIssuer:
    """Signs tokens, and tells its public keys to whoever asks; counts how often."""

    def __init__(self) -> None:
        self.keys: dict[str, PrivateKey] = {"rsa": rsa_key(), "ec": ec.generate_private_key(ec.SECP256R1())}
        self.more_keys: list[dict[str, Any]] = []
        self.asked = 0
        self.broken = False
        self.says: str | None = None
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked += 1
                body = json.dumps(issuer.document(self.path)).encode()
                self.send_response(500 if issuer.broken else 200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def document(self, path: str) -> dict[str, Any]:
        if path.endswith("openid-configuration"):
            return {"issuer": self.says or self.url, "jwks_uri": f"{self.url}/keys"}
        published = []
        for kid, key in self.keys.items():
            algorithm = jwt.get_algorithm_by_name("RS256" if isinstance(key, RSAPrivateKey) else "ES256")
            published.append({**json.loads(algorithm.to_jwk(key.public_key())), "kid": kid, "use": "sig"})
        return {"keys": [*published, *self.more_keys]}

    def token(
        self,
        kid: str = "rsa",
        *,
        key: Any = None,
        algorithm: str | None = None,
        header: dict[str, Any] | None = None,
        **claims: Any,
    ) -> str:
        """Sign a token; claims that are None are left out."""
        now = int(time.time())
        said = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "u-17",
            "iat": now,
            "exp": now + 300,
            "preferred_username": "grace",
            "groups": ["shifters"],
        } | claims
        return jwt.encode(
            {name: value for name, value in said.items() if value is not None},
            self.keys[kid] if key is None else key,
            algorithm=algorithm or ("ES256" if kid == "ec" else "RS256"),
            headers={"kid": kid, **(header or {})},
        )
