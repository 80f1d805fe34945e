"""The order service: publishes orders, and reads them back."""
