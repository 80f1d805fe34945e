"""Consuming: record → handler → outcome → committed offset."""
