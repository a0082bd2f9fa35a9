//! Wires the rooms together; owns tasks, key unlock, health, shutdown.
