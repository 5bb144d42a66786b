"""The experiment as frozen values, and the way from YAML to a plan."""
