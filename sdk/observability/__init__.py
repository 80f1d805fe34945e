"""What is seen of the SDK from outside: logging, and later metrics and tracing."""
