"""Keeps secrets out of texts that are logged, raised or sent."""

from __future__ import annotations

import re
from collections.abc import Iterable

HIDDEN = "***"

_USERINFO = re.compile(r"(?<=://)[^/@\s]*@")
_BEARER = re.compile(r"(?i)\b(bearer|basic)(\s+)[a-z0-9+/_.~-]{8,}=*")
_ASSIGNED = re.compile(
    r"""(?ix)
    \b( [\w.-]{0,40} (?: passw(?:or)?d | secret | token | api[_-]?key | credentials? ) )
    (["']? \s* [=:] \s* ["']?)
    [^\s"',;&)}\]]+
    """
)


def hide(text: str, secrets: Iterable[str] = ()) -> str:
    """Return a text without userinfo of URLs and without any of the secrets."""
    text = _USERINFO.sub("", text)
    for secret in secrets:
        if secret:
            text = text.replace(secret, HIDDEN)
    return text


def shown(error: Exception, secrets: Iterable[str]) -> Exception | None:
    """Return another library's error as the cause of ours; None if it would show a secret.

    Its causes are searched as well, because a stack trace prints the whole chain.

    Args:
        error: The library's error.
        secrets: Texts that are known to be secret.
    """
    text = " ".join(f"{link} {link!r}" for link in causes(error))
    return None if any(secret and secret in text for secret in secrets) else error


def causes(error: BaseException, outer: BaseException | None = None) -> list[BaseException]:
    """Return an error and its causes, except ``outer``, which was being handled before."""
    links: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link is not outer and link not in links:
        links.append(link)
        link = link.__cause__ or link.__context__
    return links


def hide_credentials(text: str, secrets: Iterable[str] = ()) -> str:
    """Return a foreign text without anything that looks like a credential.

    Args:
        text: A message or a stack trace of any library.
        secrets: Texts that are known to be secret.

    Returns:
        The text without them, without userinfo of URLs, bearer and basic tokens, and values
        that are named password, secret, token, key or credential.
    """
    text = hide(text, secrets)
    text = _BEARER.sub(rf"\1\2{HIDDEN}", text)
    return _ASSIGNED.sub(rf"\1\2{HIDDEN}", text)
