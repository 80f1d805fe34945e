"""The schema registry over HTTP: look-up, registration, rule sets and failures."""
