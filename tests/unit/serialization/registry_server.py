"""A schema registry for tests: rule sets and encryption keys included, over real HTTP."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import ssl
import threading
import uuid
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

Json = dict[str, Any]
_KEPT = ("schema", "schemaType", "references", "metadata", "ruleSet")


class Refusal(Exception):
    """An answer that is no success."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.status = code // 100 if code > 999 else code
        self.body = {"error_code": code, "message": message}


class RegistryServer:
    """Serves a registry in memory; a context manager.

    Args:
        guids: Give schemas a GUID.
        context: Serve TLS with it.

    Attributes:
        requests: Method and path of each request so far.
        mode: ``READWRITE`` or ``READONLY``.
        levels: Subject → compatibility level that was set.
    """

    def __init__(self, *, guids: bool = True, context: ssl.SSLContext | None = None) -> None:
        self.requests: list[str] = []
        self.mode = "READWRITE"
        self.levels: dict[str, str] = {}
        self._guids = guids
        self._ids: dict[str, int] = {}
        self._schemas: list[Json] = []
        self._subjects: dict[str, list[int]] = {}
        self._keks: dict[str, Json] = {}
        self._deks: dict[tuple[str, str], Json] = {}
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        if context is not None:
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.url = f"http{'s' if context else ''}://localhost:{self._server.server_port}"

    def __enter__(self) -> RegistryServer:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def add(self, subject: str, schema: str, **more: Any) -> int:
        """Register a version, with ``schemaType``, ``references`` or ``ruleSet``; return its id."""
        return int(self._register(subject, {"schema": schema, **more})["id"])

    def versions(self, subject: str) -> list[str]:
        """Return the texts of a subject's versions, oldest first."""
        return [self._schemas[each - 1]["schema"] for each in self._subjects.get(subject, [])]

    def count(self, pattern: str) -> int:
        """Return how many requests so far match a regular expression."""
        return sum(bool(re.match(pattern, each)) for each in self.requests)

    def damage_keys(self) -> None:
        """Replace all data encryption keys by bytes that decrypt to nothing."""
        for dek in self._deks.values():
            dek["encryptedKeyMaterial"] = base64.b64encode(bytes(60)).decode()

    def _answer(self, method: str, path: str, body: Json) -> Any:
        self.requests.append(f"{method} {path}")
        for wanted, pattern, function in self._routes():
            match = re.fullmatch(pattern, urlsplit(path).path)
            if wanted == method and match:
                with self._lock:
                    return function(*map(unquote, match.groups()), body)
        raise Refusal(404, "HTTP 404 Not Found")

    def _routes(self) -> list[tuple[str, str, Callable[..., Any]]]:
        keks = "/dek-registry/v1/keks"
        return [
            ("POST", "/subjects/([^/]+)/versions", self._post_version),
            ("POST", "/subjects/([^/]+)", self._look_up),
            ("GET", "/subjects/([^/]+)/versions", self._list_versions),
            ("GET", "/subjects/([^/]+)/versions/([^/]+)", self._get_version),
            ("GET", r"/schemas/ids/(\d+)", self._by_id),
            ("GET", "/schemas/guids/([^/]+)", self._by_guid),
            ("PUT", "/config/([^/]+)", self._put_level),
            ("GET", "/config", lambda _: {"compatibilityLevel": "BACKWARD"}),
            ("POST", keks, self._put_kek),
            ("GET", f"{keks}/([^/]+)", lambda name, _: self._found(self._keks, name)),
            ("POST", f"{keks}/([^/]+)/deks/([^/]+)", self._put_dek),
            ("POST", f"{keks}/([^/]+)/deks", self._put_dek_of_body),
            (
                "GET",
                f"{keks}/([^/]+)/deks/([^/]+)/versions/[^/]+",
                lambda kek, subject, _: self._found(self._deks, (kek, subject)),
            ),
        ]

    def _post_version(self, subject: str, body: Json) -> Json:
        if self.mode == "READONLY":
            raise Refusal(42205, f"Subject {subject} is in read-only mode")
        return {"id": self._register(subject, body)["id"]}

    def _register(self, subject: str, body: Json) -> Json:
        kept = _kept(body)
        text = json.dumps(kept, sort_keys=True)
        if text not in self._ids:
            self._schemas.append(kept)
            self._ids[text] = len(self._schemas)
        number = self._ids[text]
        known = self._subjects.setdefault(subject, [])
        if number not in known:
            known.append(number)
        return self._version_of(subject, known.index(number))

    def _look_up(self, subject: str, body: Json) -> Json:
        known = self._known(subject)
        number = self._ids.get(json.dumps(_kept(body), sort_keys=True))
        if number not in known:
            raise Refusal(40403, "Schema not found")
        return self._version_of(subject, known.index(number))

    def _list_versions(self, subject: str, _: Json) -> list[int]:
        return list(range(1, len(self._known(subject)) + 1))

    def version(self, subject: str, number: int) -> Json:
        """Return a version as clients see it."""
        return self._get_version(subject, str(number), {})

    def _get_version(self, subject: str, version: str, _: Json) -> Json:
        known = self._known(subject)
        index = len(known) if version in {"latest", "-1"} else int(version)
        if not 1 <= index <= len(known):
            raise Refusal(40402, "Version not found.")
        return self._version_of(subject, index - 1)

    def _by_id(self, number: str, _: Json) -> Json:
        if not 1 <= int(number) <= len(self._schemas):
            raise Refusal(40403, f"Schema {number} not found")
        return {**self._schemas[int(number) - 1], **self._guid(int(number))}

    def _by_guid(self, guid: str, _: Json) -> Json:
        for number in range(1, len(self._schemas) + 1):
            if self._guid(number).get("guid") == guid:
                return {**self._schemas[number - 1], "guid": guid}
        raise Refusal(40403, f"Schema {guid} not found")

    def _put_level(self, subject: str, body: Json) -> Json:
        if self.mode == "READONLY":
            raise Refusal(42205, "read-only mode")
        self.levels[subject] = body["compatibility"]
        return body

    def _put_kek(self, body: Json) -> Json:
        return self._keks.setdefault(body["name"], {**body, "ts": 1, "deleted": False})

    def _put_dek(self, kek: str, subject: str, body: Json) -> Json:
        dek = {**body, "kekName": kek, "subject": subject, "ts": 1, "deleted": False}
        return self._deks.setdefault((kek, subject), dek)

    def _put_dek_of_body(self, kek: str, body: Json) -> Json:
        return self._put_dek(kek, body["subject"], body)

    def _found(self, table: Mapping[Any, Json], key: Any) -> Json:
        if key not in table:
            raise Refusal(40470, f"{key} not found")
        return table[key]

    def _known(self, subject: str) -> list[int]:
        if subject not in self._subjects:
            raise Refusal(40401, f"Subject '{subject}' not found.")
        return self._subjects[subject]

    def _version_of(self, subject: str, index: int) -> Json:
        number = self._subjects[subject][index]
        place = {"subject": subject, "version": index + 1, "id": number}
        return {**self._schemas[number - 1], **place, **self._guid(number)}

    def _guid(self, number: int) -> Json:
        if not self._guids:
            return {}
        text = json.dumps(self._schemas[number - 1], sort_keys=True)
        digest = hashlib.md5(text.encode(), usedforsecurity=False).digest()
        return {"guid": str(uuid.UUID(bytes=digest))}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        registry = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 60
            wbufsize = 1 << 16  # headers and body in one packet, or each answer waits for an ACK

            def handle_any(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length) or b"{}")
                try:
                    status, answer = 200, registry._answer(self.command, self.path, body)
                except Refusal as refusal:
                    status, answer = refusal.status, refusal.body
                data = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PUT = handle_any

            def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
                pass

        return Handler


def _kept(body: Json) -> Json:
    """Return what makes a schema's identity; empty lists count as absent."""
    kept = {name: body[name] for name in _KEPT if body.get(name)}
    if "ruleSet" in kept:
        kept["ruleSet"] = {kind: rules for kind, rules in kept["ruleSet"].items() if rules}
    return {key: value for key, value in kept.items() if (key, value) != ("schemaType", "AVRO")}
