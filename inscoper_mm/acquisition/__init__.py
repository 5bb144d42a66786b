"""Running an experiment: engine, loop, bridge, context and session."""
