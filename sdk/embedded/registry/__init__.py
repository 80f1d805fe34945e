"""The embedded schema registry: state, rules and HTTP resources."""
