"""Dashboards for Grafana as code: `python -m deploy.grafana` writes them as the JSON that Grafana reads."""
