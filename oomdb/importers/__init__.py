"""What others left behind becomes runs: folders of the legacy script, manifests; no cluster and no terminal here."""
