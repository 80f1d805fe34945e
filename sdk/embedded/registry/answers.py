"""Refusals of the registry, with the codes and words of Confluent's registry 7.9."""

from __future__ import annotations


class RestError(Exception):
    """A refusal that becomes an HTTP answer.

    Args:
        status: HTTP status.
        code: ``error_code`` of the body: the status, or the status with two more digits.
        message: ``message`` of the body.
    """

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


def not_acceptable() -> RestError:
    """No media type that the client accepts can be served."""
    return RestError(406, 406, "HTTP 406 Not Acceptable")


def no_such_path() -> RestError:
    """No resource lives at the path."""
    return RestError(404, 404, "HTTP 404 Not Found")


def method_not_allowed() -> RestError:
    """The resource exists, but not for this method."""
    return RestError(405, 405, "HTTP 405 Method Not Allowed")


def unsupported_media_type() -> RestError:
    """The request's body is of a type that is not read."""
    return RestError(415, 415, "HTTP 415 Unsupported Media Type")


def bad_request(message: str) -> RestError:
    """The body is not JSON, or not of the expected shape."""
    return RestError(400, 400, message)


def missing_body() -> RestError:
    """The request needs a body."""
    return RestError(422, 422, "request must not be null (was null)")


def internal_error() -> RestError:
    """What Confluent's registry fails at as well."""
    return RestError(500, 500, "Internal Server Error")


def subject_not_found(subject: str | None) -> RestError:
    """40401."""
    return RestError(404, 40401, f"Subject '{subject}' not found.")


def version_not_found(version: int) -> RestError:
    """40402."""
    return RestError(404, 40402, f"Version {version} not found.")


def schema_not_found(which: int | str | None = None) -> RestError:
    """40403."""
    return RestError(
        404, 40403, "Schema not found" if which is None else f"Schema {which} not found"
    )


def subject_soft_deleted(subject: str) -> RestError:
    """40404."""
    return RestError(
        404,
        40404,
        f"Subject '{subject}' was soft deleted.Set permanent=true to delete permanently",
    )


def subject_not_soft_deleted(subject: str) -> RestError:
    """40405."""
    return RestError(
        404,
        40405,
        f"Subject '{subject}' was not deleted first before being permanently deleted",
    )


def version_soft_deleted(subject: str, version: str) -> RestError:
    """40406."""
    return RestError(
        404,
        40406,
        f"Subject '{subject}' Version {version} was soft deleted."
        "Set permanent=true to delete permanently",
    )


def version_not_soft_deleted(subject: str, version: int) -> RestError:
    """40407."""
    return RestError(
        404,
        40407,
        f"Subject '{subject}' Version {version} was not deleted "
        "first before being permanently deleted",
    )


def no_subject_level(subject: str) -> RestError:
    """40408."""
    return RestError(
        404,
        40408,
        f"Subject '{subject}' does not have subject-level compatibility configured",
    )


def no_subject_mode(subject: str) -> RestError:
    """40409."""
    return RestError(404, 40409, f"Subject '{subject}' does not have subject-level mode configured")


def incompatible(subject: str, problems: list[str]) -> RestError:
    """409; releases from 8.0 say 40901."""
    return RestError(
        409,
        409,
        "Schema being registered is incompatible with an earlier schema for subject "
        f'"{subject}", details: [{", ".join(problems)}]',
    )


def invalid_schema(message: str) -> RestError:
    """42201."""
    return RestError(422, 42201, message)


def invalid_version(version: str) -> RestError:
    """42202."""
    return RestError(
        422,
        42202,
        f"The specified version '{version}' is not a valid version id. "
        'Allowed values are between [1, 2^31-1] and the string "latest"',
    )


def invalid_level() -> RestError:
    """42203."""
    return RestError(
        422,
        42203,
        "Invalid compatibility level. Valid values are none, backward, forward, full, "
        "backward_transitive, forward_transitive, and full_transitive",
    )


def invalid_mode() -> RestError:
    """42204."""
    return RestError(422, 42204, "Invalid mode. Valid values are READWRITE, READONLY, and IMPORT.")


def not_permitted(message: str) -> RestError:
    """42205."""
    return RestError(422, 42205, message)


def reference_exists(subject: str, version: int) -> RestError:
    """42206."""
    return RestError(
        422,
        42206,
        "One or more references exist to the schema "
        f"{{magic=1,keytype=SCHEMA,subject={subject},version={version}}}.",
    )


def invalid_subject(subject: str) -> RestError:
    """42208."""
    return RestError(422, 42208, f"The specified subject '{subject}' is not a valid.")


def schema_too_large() -> RestError:
    """42209."""
    return RestError(422, 42209, "Register operation failed because schema is too large")


def invalid_rule_set(message: str) -> RestError:
    """42210."""
    return RestError(422, 42210, message)


def context_not_empty(context: str) -> RestError:
    """42211."""
    return RestError(422, 42211, f"The specified context '{context}' is not empty.")
