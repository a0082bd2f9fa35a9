//! Records as CSV and JSON Lines, and back.
