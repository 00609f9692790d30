"""What makes adapters, and the embedded base that they are shown on."""
