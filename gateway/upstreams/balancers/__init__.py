"""The ways to choose an endpoint: a file each; the interface sits beside the folder, in upstreams/balance.py."""
