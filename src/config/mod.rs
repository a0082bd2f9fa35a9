//! Configuration: text to raw to checked.
