"""Where a registry differs from Confluent's: the one table that the registry suite reads.

A test that meets a difference asserts what the table says instead of what Confluent's registry
does, so that an entry that is no longer true fails.
"""

from __future__ import annotations

NO_GUIDS = "schemas have no GUIDs"
DOC_IS_IGNORED = "a change of doc returns the old id, and the new doc is never stored"
NORMALIZE_IS_IGNORED = "normalize has no effect"
READONLY_IS_IGNORED = "READONLY lets writes through"
UNSET_LEVEL_IS_40401 = "a subject without a level is answered with 40401"
CONFLICTS_OF_DELETION = "40405 to 40407 come as HTTP 409"
CONTEXTS_ARE_PREFIXES = "contexts share ids, and are not listed"
NONE_IS_NO_LEVEL = "NONE takes a subject's level away, so that the global one holds"

DIFFERENCES: dict[str, frozenset[str]] = {
    "embedded": frozenset(),
    "confluent": frozenset(),
    "apicurio": frozenset(
        {
            NO_GUIDS,
            DOC_IS_IGNORED,
            NORMALIZE_IS_IGNORED,
            READONLY_IS_IGNORED,
            UNSET_LEVEL_IS_40401,
            CONFLICTS_OF_DELETION,
            CONTEXTS_ARE_PREFIXES,
        }
    ),
    # The newest that runs on Java 17.
    "apicurio 3.0": frozenset(
        {
            NO_GUIDS,
            NORMALIZE_IS_IGNORED,
            READONLY_IS_IGNORED,
            UNSET_LEVEL_IS_40401,
            CONFLICTS_OF_DELETION,
            CONTEXTS_ARE_PREFIXES,
            NONE_IS_NO_LEVEL,
        }
    ),
}
