//! What is wrong with a message that cannot be taken.

/// A message that breaks its contract: the field, and the bound or form that it broke.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct Malformed {
    /// Path of the field, as in the `.proto` file.
    pub field: &'static str,
    /// What the field must be.
    pub reason: String,
}

impl Malformed {
    /// The field `field` is not as `reason` asks.
    pub fn new(field: &'static str, reason: impl Into<String>) -> Self {
        Self {
            field,
            reason: reason.into(),
        }
    }
}
