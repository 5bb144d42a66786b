"""Where scripts run: a thread, or a worker process."""
