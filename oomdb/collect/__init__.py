"""From clusters to the store: plan, scan, artifacts, run; the place where kube, detectors, artifacts and store meet."""
