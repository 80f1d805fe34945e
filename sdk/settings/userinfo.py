"""Credentials inside a URL: they move to where they are not shown."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from sdk.settings.structure import Finding

_ONE_USER = "write username and password once, in [registry]"


def move_userinfo(merged: dict[str, Any]) -> list[Finding]:
    """Move ``user:password@`` out of the registry's URLs, where it would be shown.

    Args:
        merged: Merged settings; changed in place.

    Returns:
        A finding where the credentials contradict each other.
    """
    registry = merged.get("registry")
    if not isinstance(registry, dict):
        return []
    urls = registry.get("url")
    entries = urls.split(",") if isinstance(urls, str) else urls
    if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
        return []
    split = [_split_userinfo(entry.strip()) for entry in entries]
    credentials = {found for _, found in split if found is not None}
    registry["url"] = [url for url, _ in split]
    if not credentials:
        return []
    given = registry.get("username"), registry.get("password")
    if len(credentials) > 1 or (given != (None, None) and given not in list(credentials)):
        return [Finding(("registry", "url"), "holds a user that contradicts another", _ONE_USER)]
    registry["username"], registry["password"] = credentials.pop()
    return []


def _split_userinfo(url: str) -> tuple[str, tuple[str, str] | None]:
    try:
        parts = urlsplit(url)
    except ValueError:
        return url, None
    userinfo, at, host = parts.netloc.rpartition("@")
    if not at:
        return url, None
    user, _, password = userinfo.partition(":")
    return urlunsplit(parts._replace(netloc=host)), (unquote(user), unquote(password))
