//! What it did to put newer trust documents in force.

use crate::membership::Supersession;

/// What installing roots did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InstalledRoot {
    /// Version of the root now in force.
    pub version: u32,
    /// Connections that were cut, because their chains lead to none of its root certificates.
    pub cut: usize,
}

/// What installing a list did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// Version of the list now in force.
    pub version: u32,
    /// Whether it is another one than before.
    pub supersession: Supersession,
    /// Connections that were cut, because their peers are no longer admitted.
    pub cut: usize,
    /// Why it could not be noted that the list was seen, where that failed: it counts only until
    /// the process ends.
    pub not_noted: Option<String>,
}
