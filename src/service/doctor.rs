//! What a node finds wrong with itself and between itself and its peers, each with its fix.

use crate::domain::MemberId;
use crate::wire::pb;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// As it should be.
    Fine,
    /// It works, and will not for long, or not well.
    Warning,
    /// It does not work.
    Broken,
}

/// Where the remedy of a broken thing lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concern {
    /// On this machine.
    Local,
    /// With the administrators: somebody refuses this member.
    Refusal,
    /// On the way to peers, or with them.
    Peers,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at, a word: `clock`, `reach`, `chain`, `list`, `rights`, `quota`, `disk`,
    /// `keys`, `dispute`, `freshness`, `log`, `mirror`, `light`, `feed`, `misuse`,
    /// `witness`, `fork`, `reveals`, `webhook`.
    pub area: &'static str,
    /// The peer that it is about.
    pub peer: Option<MemberId>,
    /// How bad it is.
    pub severity: Severity,
    /// Where the remedy lies.
    pub concern: Concern,
    /// What was found.
    pub says: String,
    /// What to do; empty where nothing is.
    pub fix: String,
}

impl Finding {
    /// Something that is as it should be.
    #[must_use]
    pub fn fine(area: &'static str, says: impl Into<String>) -> Self {
        Self {
            area,
            peer: None,
            severity: Severity::Fine,
            concern: Concern::Local,
            says: says.into(),
            fix: String::new(),
        }
    }

    /// Something that works, and will not for long, or not well.
    #[must_use]
    pub fn warning(area: &'static str, says: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            fix: fix.into(),
            ..Self::fine(area, says)
        }
    }

    /// Something that does not work.
    #[must_use]
    pub fn broken(area: &'static str, says: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            severity: Severity::Broken,
            ..Self::warning(area, says, fix)
        }
    }

    /// The same about a peer.
    #[must_use]
    pub fn with(self, peer: &MemberId) -> Self {
        Self {
            peer: Some(peer.clone()),
            concern: Concern::Peers,
            ..self
        }
    }

    /// The same where somebody refuses this member.
    #[must_use]
    pub fn refused(self) -> Self {
        Self {
            concern: Concern::Refusal,
            ..self
        }
    }
}

impl From<Finding> for pb::Finding {
    fn from(finding: Finding) -> Self {
        let severity = match finding.severity {
            Severity::Fine => "fine",
            Severity::Warning => "warning",
            Severity::Broken => "broken",
        };
        let concern = match finding.concern {
            Concern::Local => "local",
            Concern::Refusal => "refusal",
            Concern::Peers => "peers",
        };
        Self {
            area: finding.area.to_owned(),
            peer: finding
                .peer
                .map(|peer| peer.to_string())
                .unwrap_or_default(),
            severity: severity.to_owned(),
            concern: concern.to_owned(),
            says: finding.says,
            fix: finding.fix,
        }
    }
}
