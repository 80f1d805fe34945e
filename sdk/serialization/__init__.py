"""Serializers that need no registry, and the choice among all of them by configuration."""

from sdk.serialization.content_type import ContentTypeSerializer
from sdk.serialization.json_format import JsonMessageSerializer
from sdk.serialization.keys import MixedKeySerializer, TextKeySerializer, key_text

__all__ = [
    "ContentTypeSerializer",
    "JsonMessageSerializer",
    "MixedKeySerializer",
    "TextKeySerializer",
    "key_text",
]
