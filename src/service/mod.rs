//! Thin handlers for peers and for operators.
