"""Confluent's registry client behind our seam; the only importer of it."""
