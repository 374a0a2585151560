"""Tests of what others left behind: legacy folders, manifests."""
