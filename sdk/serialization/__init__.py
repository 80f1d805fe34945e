"""Serializers that need no registry, and the choice among all of them by configuration."""

from sdk.serialization.formats import choose
from sdk.serialization.json_format import JsonMessageSerializer
from sdk.serialization.keys import TextKeySerializer, key_text

__all__ = ["JsonMessageSerializer", "TextKeySerializer", "choose", "key_text"]
