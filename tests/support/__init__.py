"""Real parts that several rooms' tests start: registries, token servers."""
