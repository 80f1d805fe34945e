"""Confluent's Kafka clients behind our seams; the only importer of them."""
