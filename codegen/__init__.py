"""From a tree of Avro schemas to a package of typed event classes."""
