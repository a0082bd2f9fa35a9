//! What follows from what the members answered: counts as intervals, flags, outcome. Pure.
