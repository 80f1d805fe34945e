"""The schema registry over HTTP: look-up, registration, rule sets, and what its failures mean."""
