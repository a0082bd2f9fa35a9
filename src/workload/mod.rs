//! The simulated network of the demo and of the tests.
