"""What `oc get -o json` or a must-gather saved of a cluster becomes a run; files and folders, never an API."""
