"""Bytes ↔ events: plans and the executors that run them."""
