"""The options of TLS and SASL."""

from __future__ import annotations

from attrs import field, frozen

from sdk.errors import ConfigurationError
from sdk.settings import checking as checks


@frozen(kw_only=True)
class TlsOptions:
    """TLS: verification of the server's certificate and, for mutual TLS, the client's own.

    Attributes:
        ca_location: File of trusted certificates (PEM); None means the system's.
        certificate_location: The client's certificate (PEM).
        key_location: Its private key (PEM).
        key_password: Password of the private key.
        verify: Verify the certificate and the host name; False only for experiments.
    """

    ca_location: str | None = field(default=None, validator=checks.filled)
    certificate_location: str | None = field(default=None, validator=checks.filled)
    key_location: str | None = field(default=None, validator=checks.filled)
    key_password: str | None = field(default=None, repr=False, validator=checks.credential)
    verify: bool = True

    def __attrs_post_init__(self) -> None:
        if (self.certificate_location is None) != (self.key_location is None):
            raise ConfigurationError(
                "certificate_location and key_location belong together",
                path="key_location",
                remedy="set both for mutual TLS, or neither",
            )


@frozen(kw_only=True)
class SaslOptions:
    """SASL authentication to Kafka.

    Attributes:
        mechanism: ``PLAIN``, ``SCRAM-SHA-256``, ``SCRAM-SHA-512`` or ``OAUTHBEARER``.
        username: For PLAIN and SCRAM.
        password: For PLAIN and SCRAM.
    """

    mechanism: str = field(
        validator=checks.one_of("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER")
    )
    username: str | None = field(default=None, validator=[checks.filled, checks.credential])
    password: str | None = field(default=None, repr=False, validator=checks.credential)

    def __attrs_post_init__(self) -> None:
        needed = ("username", "password") if self.mechanism != "OAUTHBEARER" else ()
        for name in needed:
            if getattr(self, name) is None:
                raise ConfigurationError(f"is needed for {self.mechanism}", path=name)
