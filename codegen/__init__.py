"""Generates a package of typed event classes from a tree of Avro schemas."""
