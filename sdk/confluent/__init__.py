"""The only importer of confluent_kafka: registry, serializers, clients and the mock cluster."""
