"""Publishing: event → record → delivery."""
