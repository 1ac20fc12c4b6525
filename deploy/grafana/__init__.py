"""The Grafana dashboards as code: `python -m deploy.grafana` renders them to `dashboards/`."""
