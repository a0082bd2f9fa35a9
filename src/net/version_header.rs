//! The header that carries the version of the member list in force, made once for each version.

use arc_swap::ArcSwap;
use http::HeaderValue;

/// The header's value for the version last asked for.
#[derive(Debug)]
pub(super) struct VersionHeader(ArcSwap<(u32, HeaderValue)>);

impl VersionHeader {
    /// Begins with this version.
    pub(super) fn new(version: u32) -> Self {
        Self(ArcSwap::from_pointee((version, HeaderValue::from(version))))
    }

    /// The header's value for a version.
    pub(super) fn of(&self, version: u32) -> HeaderValue {
        let made = self.0.load();
        if made.0 == version {
            return made.1.clone();
        }
        let value = HeaderValue::from(version);
        self.0.store(std::sync::Arc::new((version, value.clone())));
        value
    }
}
