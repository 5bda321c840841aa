"""Istio's security and traffic resources, a module for each kind."""
