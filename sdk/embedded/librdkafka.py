"""The mock cluster functions of the librdkafka that confluent_kafka brings, through ctypes."""

from __future__ import annotations

import ctypes
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import confluent_kafka
from confluent_kafka import cimpl

from sdk.errors import ConfigurationError

logger = logging.getLogger("sdk.embedded")

_PRODUCER: Final = 0
_VOID: Final = None
_POINTER: Final = ctypes.c_void_p
_INT: Final = ctypes.c_int
_PROTOTYPES: Final[dict[str, tuple[Any, tuple[Any, ...]]]] = {
    "rd_kafka_conf_new": (_POINTER, ()),
    "rd_kafka_conf_destroy": (_VOID, (_POINTER,)),
    "rd_kafka_conf_set_log_cb": (_VOID, (_POINTER, _POINTER)),
    "rd_kafka_new": (_POINTER, (_INT, _POINTER, ctypes.c_char_p, ctypes.c_size_t)),
    "rd_kafka_destroy": (_VOID, (_POINTER,)),
    "rd_kafka_mock_cluster_new": (_POINTER, (_POINTER, _INT)),
    "rd_kafka_mock_cluster_destroy": (_VOID, (_POINTER,)),
    "rd_kafka_mock_cluster_bootstraps": (ctypes.c_char_p, (_POINTER,)),
    "rd_kafka_mock_topic_create": (_INT, (_POINTER, ctypes.c_char_p, _INT, _INT)),
    "rd_kafka_mock_group_initial_rebalance_delay_ms": (_VOID, (_POINTER, ctypes.c_int32)),
    "rd_kafka_mock_set_group_consumer_heartbeat_interval_ms": (_VOID, (_POINTER, _INT)),
    "rd_kafka_mock_set_group_consumer_session_timeout_ms": (_VOID, (_POINTER, _INT)),
    "rd_kafka_mock_push_request_errors_array": (
        _VOID,
        (_POINTER, ctypes.c_int16, ctypes.c_size_t, ctypes.POINTER(_INT)),
    ),
    "rd_kafka_mock_clear_request_errors": (_VOID, (_POINTER, ctypes.c_int16)),
    "rd_kafka_mock_broker_set_up": (_INT, (_POINTER, ctypes.c_int32)),
    "rd_kafka_mock_broker_set_down": (_INT, (_POINTER, ctypes.c_int32)),
    "rd_kafka_mock_broker_set_rtt": (_INT, (_POINTER, ctypes.c_int32, _INT)),
}


def load_library() -> Any:
    """Return librdkafka with its functions declared.

    On Linux and macOS the dependencies of the extension module are searched with it; where the
    loader does not do that, the file beside the package is opened.

    Raises:
        ConfigurationError: The installed confluent_kafka does not export the functions.
    """
    for path in _candidates():
        try:
            library = ctypes.CDLL(str(path))
            for name, (result, arguments) in _PROTOTYPES.items():
                function = getattr(library, name)
                function.restype, function.argtypes = result, arguments
        except (OSError, AttributeError) as error:
            logger.debug("%s does not offer the mock cluster: %s", path, error)
        else:
            return library
    raise ConfigurationError(
        "the embedded broker is unavailable: librdkafka's mock cluster was not found in the "
        f"installed confluent_kafka {confluent_kafka.version()}",
        remedy="install confluent-kafka from its wheel, or set kafka.bootstrap_servers to a broker",
    )


def new_handle(library: Any) -> int:
    """Return a silent client handle, which a mock cluster needs as its owner."""
    config = library.rd_kafka_conf_new()
    library.rd_kafka_conf_set_log_cb(config, None)
    text = ctypes.create_string_buffer(512)
    handle: int | None = library.rd_kafka_new(_PRODUCER, config, text, len(text))
    if not handle:
        library.rd_kafka_conf_destroy(config)
        raise ConfigurationError(f"librdkafka does not start: {text.value.decode()}")
    return handle


def _candidates() -> Iterator[Path]:
    """Yield the files that may hold the functions, likeliest first."""
    module = Path(cimpl.__file__)
    yield module
    for folder in (
        module.parent.with_name("confluent_kafka.libs"),
        module.parent / ".dylibs",
        module.parent,
    ):
        yield from sorted(folder.glob("librdkafka*"))
