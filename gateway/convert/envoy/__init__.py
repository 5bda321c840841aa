"""routes.yaml as an Envoy bootstrap, a module for each part of it."""
