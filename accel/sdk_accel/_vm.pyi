from collections.abc import Callable
from typing import Any, Final

PLAN_VERSION: Final[int]

class Unsupported(Exception): ...  # noqa: N818

def compile_encoder(
    plan: object,
    limits: object,
    convert: Callable[[Any], Callable[[Any], Any]],
    fallback: Callable[[Any, bytes], bytes],
    /,
) -> Callable[..., bytes]: ...
def compile_decoder(
    plan: object,
    limits: object,
    convert: Callable[[Any], Callable[[Any], Any]],
    fallback: Callable[[bytes, int], Any],
    /,
) -> Callable[..., Any]: ...
