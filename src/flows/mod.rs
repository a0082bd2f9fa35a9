//! The effects in their order: import, publish, assess, mirror, epochs.
