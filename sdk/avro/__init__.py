"""Avro alone: no Kafka, no registry."""
