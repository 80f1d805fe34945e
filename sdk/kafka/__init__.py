"""Adapters of Confluent's Kafka clients to `sdk.abstractions`."""
