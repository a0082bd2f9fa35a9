//! Streams with a proven peer at the other end.
