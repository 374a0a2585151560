"""A real Kubernetes API server on loopback: its programs found or built, started, filled, and made to fail."""
