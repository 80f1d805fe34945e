"""A broker and a schema registry that need nothing installed."""
