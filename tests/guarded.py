"""A broker that wants to know who asks, and lets them do what its ACLs say; with certificates of its own."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from detector.preflight import Acl
from tests.broker import Broker, chosen, launch, nodes, wait_until_ready

LOGIN = "org.apache.kafka.common.security"
OPERATIONS = {
    "Read": AclOperation.READ,
    "Write": AclOperation.WRITE,
    "DescribeConfigs": AclOperation.DESCRIBE_CONFIGS,
}
RESOURCES = {
    "topic": ResourceType.TOPIC,
    "group": ResourceType.GROUP,
    "transactional-id": ResourceType.TRANSACTIONAL_ID,
}
USER, PASSWORD = "detector", "planted-7c1f-secret"


# --- certificates


@dataclass(frozen=True)
class Issued:
    """A certificate and its key, PEM."""

    certificate: bytes
    key: bytes

    def write(self, folder: Path, name: str) -> tuple[Path, Path]:
        """Both as files."""
        paths = folder / f"{name}.pem", folder / f"{name}.key"
        for path, content in zip(paths, (self.certificate, self.key), strict=True):
            path.write_bytes(content)
        return paths


class Authority:
    """Issues certificates for a day."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named("tests")
        self.certificate = self._issued(self._name, self._key, ca=True)

    def issue(self, name: str) -> Issued:
        """For a common name, and for this machine."""
        key = ec.generate_private_key(ec.SECP256R1())
        form = serialization.PrivateFormat.PKCS8
        pem = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
        return Issued(self._issued(_named(name), key, ca=False), pem)

    def _issued(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, ca: bool) -> bytes:
        now = datetime.datetime.now(datetime.UTC)
        here = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        built = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca, None), critical=True)
            .add_extension(x509.SubjectAlternativeName(here), critical=False)
        )
        return built.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


# --- the broker


@dataclass(frozen=True)
class Guarded:
    """A broker with three listeners.

    bootstrap: plain, where everyone may do everything, for the tests. tls: TLS, a certificate of the client counts as
    its name. sasl: TLS, with SCRAM-SHA-512 and OAUTHBEARER. ca: the file of the authority that both trust.
    """

    bootstrap: str
    tls: str
    sasl: str
    ca: Path
    authority: Authority

    def allow(self, principal: str, acls: Sequence[Acl]) -> None:
        """These ACLs and no others for a principal."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
        every = AclBindingFilter(
            ResourceType.ANY,
            None,  # type: ignore[arg-type]
            ResourcePatternType.ANY,
            principal,
            None,  # type: ignore[arg-type]
            AclOperation.ANY,
            AclPermissionType.ANY,
        )
        admin.delete_acls([every])[every].result(30)
        for future in admin.create_acls([binding(principal, one) for one in acls]).values() if acls else ():
            future.result(30)


def binding(principal: str, acl: Acl) -> AclBinding:
    """An ACL as the client's own type."""
    pattern = ResourcePatternType.PREFIXED if acl.prefixed else ResourcePatternType.LITERAL
    allow = AclPermissionType.ALLOW
    return AclBinding(RESOURCES[acl.resource], acl.name, pattern, principal, "*", OPERATIONS[acl.operation], allow)


@contextmanager
def guarded(folder: Path) -> Iterator[Guarded]:
    """Such a broker, with the user of SCRAM; gone when the block ends."""
    authority = Authority()
    ca = folder / "ca.pem"
    ca.write_bytes(authority.certificate)
    node = nodes(1)[0]
    node = replace(node, front=node.back)  # no proxy stands before it
    broker: Broker = launch(chosen(), node, properties(authority))
    try:
        wait_until_ready(broker)
        _scram(node.bootstrap)
        tls, sasl = f"127.0.0.1:{node.inside}", f"127.0.0.1:{node.back}"
        yield Guarded(node.bootstrap, tls, sasl, ca, authority)
    finally:
        broker.stop()


def properties(authority: Authority) -> dict[str, str]:
    """Of the broker: PEM stands in them on one line, as they cannot hold more."""
    own = authority.issue("localhost")
    sasl = "listener.name.proxied"
    return {
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,PROXIED:SASL_SSL,INSIDE:SSL",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.certificate.chain": _on_one_line(own.certificate),
        "ssl.keystore.key": _on_one_line(own.key),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.certificates": _on_one_line(authority.certificate),
        "listener.name.inside.ssl.client.auth": "requested",
        "sasl.enabled.mechanisms": "SCRAM-SHA-512,OAUTHBEARER",
        f"{sasl}.sasl.enabled.mechanisms": "SCRAM-SHA-512,OAUTHBEARER",
        f"{sasl}.scram-sha-512.sasl.jaas.config": f"{LOGIN}.scram.ScramLoginModule required;",
        f"{sasl}.oauthbearer.sasl.jaas.config": (
            f'{LOGIN}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";'
        ),
    }


def _on_one_line(pem: bytes) -> str:
    return " ".join(pem.decode().split("\n")).strip()


def _scram(bootstrap: str) -> None:
    info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
    user = UserScramCredentialUpsertion(USER, info, PASSWORD.encode())
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    admin.alter_user_scram_credentials([user])[USER].result(30)
