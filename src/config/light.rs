//! `[light]` of `node.toml`: who asks this node, and whom it asks, without a mirror.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::node::{ConfigError, value};
use crate::domain::MemberId;
use crate::limits::{LIGHT_ENTRIES_CONFIGURED_MAX, LIGHT_ENTRIES_DEFAULT};

/// What is done in light mode.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LightConfig {
    /// Entries that a bucket of this node's feeds is to have; `None` where it serves none.
    pub entries: Option<u64>,
    /// Peers that are asked without a mirror.
    pub peers: BTreeSet<MemberId>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLight {
    #[serde(default)]
    serve: bool,
    entries: Option<u64>,
    #[serde(default)]
    peers: Vec<String>,
}

impl LightConfig {
    /// The section of a fresh `node.toml`.
    pub(super) const SAMPLE: &'static str = "\
        # Light mode, the weaker one (docs/light.md).\n\
        # [light]\n\
        # Whether members may ask this node without a mirror of its feed, and how many entries\n\
        # each of their answers has about: fewer tell this node more of whom they ask about.\n\
        # serve = false\n\
        # entries = 4096\n\
        # Members that this node asks so: no mirror is kept of them, and nobody is watched there.\n\
        # peers = [\"bureau-1\"]\n";
}

impl RawLight {
    pub(super) fn checked(self) -> Result<LightConfig, ConfigError> {
        let entries = self.entries.unwrap_or(LIGHT_ENTRIES_DEFAULT);
        if !(1..=LIGHT_ENTRIES_CONFIGURED_MAX).contains(&entries) {
            let rule = format!("must be 1 to {LIGHT_ENTRIES_CONFIGURED_MAX} and is {entries}");
            return Err(value("light.entries", rule));
        }
        if self.entries.is_some() && !self.serve {
            return Err(value("light.entries", "counts only with `serve = true`"));
        }
        let peers = self.peers.iter().map(|peer| peer.parse());
        let peers = peers.collect::<Result<_, _>>();
        let peers = peers.map_err(|_| value("light.peers", "must list ids of members"))?;
        Ok(LightConfig {
            entries: self.serve.then_some(entries),
            peers,
        })
    }
}
