"""Schema resolution and compatibility (Avro 1.12 specification, "Schema Resolution")."""
