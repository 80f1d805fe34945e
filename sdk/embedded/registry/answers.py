"""Errors of the registry, with the codes and messages of Confluent's registry 7.9."""

from __future__ import annotations

from collections.abc import Callable


class RestError(Exception):
    """An error that becomes an HTTP answer."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    @property
    def status(self) -> int:
        """HTTP status."""
        return self.code if self.code < 1_000 else self.code // 100


def _refusal(code: int, template: str) -> Callable[..., RestError]:
    """Return a function that builds an error from the values in its message."""

    def build(*values: object) -> RestError:
        return RestError(code, template.format(*values))

    return build


bad_request = _refusal(400, "{}")
no_such_path = _refusal(404, "HTTP 404 Not Found")
method_not_allowed = _refusal(405, "HTTP 405 Method Not Allowed")
not_acceptable = _refusal(406, "HTTP 406 Not Acceptable")
too_large = _refusal(413, "Request Entity Too Large")
unsupported_media_type = _refusal(415, "HTTP 415 Unsupported Media Type")
missing_body = _refusal(422, "request must not be null (was null)")
internal_error = _refusal(500, "Internal Server Error")
unavailable = _refusal(503, "Service Unavailable")

subject_not_found = _refusal(40401, "Subject '{}' not found.")
version_not_found = _refusal(40402, "Version {} not found.")
no_such_schema = _refusal(40403, "Schema not found")
schema_not_found = _refusal(40403, "Schema {} not found")
subject_soft_deleted = _refusal(
    40404, "Subject '{}' was soft deleted.Set permanent=true to delete permanently"
)
subject_not_soft_deleted = _refusal(
    40405, "Subject '{}' was not deleted first before being permanently deleted"
)
version_soft_deleted = _refusal(
    40406, "Subject '{}' Version {} was soft deleted.Set permanent=true to delete permanently"
)
version_not_soft_deleted = _refusal(
    40407, "Subject '{}' Version {} was not deleted first before being permanently deleted"
)
no_subject_level = _refusal(
    40408, "Subject '{}' does not have subject-level compatibility configured"
)
no_subject_mode = _refusal(40409, "Subject '{}' does not have subject-level mode configured")

# Releases from 8.0 say 40901.
incompatible = _refusal(
    409,
    "Schema being registered is incompatible with an earlier schema for subject "
    '"{}", details: [{}]',
)

invalid_schema = _refusal(42201, "{}")
invalid_version = _refusal(
    42202,
    "The specified version '{}' is not a valid version id. "
    'Allowed values are between [1, 2^31-1] and the string "latest"',
)
invalid_level = _refusal(
    42203,
    "Invalid compatibility level. Valid values are none, backward, forward, full, "
    "backward_transitive, forward_transitive, and full_transitive",
)
invalid_mode = _refusal(42204, "Invalid mode. Valid values are READWRITE, READONLY, and IMPORT.")
not_permitted = _refusal(42205, "{}")
read_only = _refusal(42205, "Subject {} is in read-only mode")
reference_exists = _refusal(
    42206,
    "One or more references exist to the schema {{magic=1,keytype=SCHEMA,subject={},version={}}}.",
)
invalid_subject = _refusal(42208, "The specified subject '{}' is not a valid.")
schema_too_large = _refusal(42209, "Register operation failed because schema is too large")
invalid_rule_set = _refusal(42210, "{}")
context_not_empty = _refusal(42211, "The specified context '{}' is not empty.")
