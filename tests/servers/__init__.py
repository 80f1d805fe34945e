"""Real servers for tests, without Docker: Apache Kafka and Apicurio Registry, run on Java.

``python -m tests.servers up`` starts both and leaves them running until Ctrl-C.
"""
