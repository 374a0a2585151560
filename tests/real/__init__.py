"""Tests against a real kube-apiserver on loopback; where none can be had they are reported as not run."""
