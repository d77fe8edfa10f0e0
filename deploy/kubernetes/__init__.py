"""Manifests: a base, components, and overlays of kustomize; the rules of Prometheus as Kubernetes wants them."""
