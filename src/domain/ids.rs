//! Names and numbers of members, networks, records, queries, epochs; roles, levels and purposes.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use super::Timestamp;

/// A name that is not 1 to 63 characters of `a-z`, `0-9` and `-`, or starts or ends with `-`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} must be 1 to 63 characters of a-z, 0-9 and '-', not starting or ending with '-'")]
pub struct InvalidName {
    what: &'static str,
}

fn checked_name(what: &'static str, text: &str) -> Result<String, InvalidName> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let sound = (1..=63).contains(&text.len())
        && text.chars().all(allowed)
        && !text.starts_with('-')
        && !text.ends_with('-');
    if sound {
        Ok(text.to_owned())
    } else {
        Err(InvalidName { what })
    }
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                checked_name($what, text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name_type!(
    /// An organisation in the network; a DNS label, so that it fits certificates and origins.
    MemberId,
    "a member id"
);
name_type!(
    /// All members under one root.
    NetworkId,
    "a network id"
);
name_type!(
    /// The economic lender: members and loans of one group count once.
    LenderGroup,
    "a lender group"
);
name_type!(
    /// Who calls a node's operator service from another machine: a system or a person of the
    /// member.
    OperatorName,
    "an operator's name"
);

/// A record's id, chosen by the furnisher (UUID, version 7 where this node chooses).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId(pub Uuid);

/// A query's id, chosen by the asking node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueryId(pub Uuid);

fn uuid_v7(now: Timestamp, random: [u8; 10]) -> Uuid {
    let ms = u64::try_from(now.unix_ms()).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(ms, &random).into_uuid()
}

impl RecordId {
    /// A fresh id from the time and ten random bytes (UUID version 7).
    #[must_use]
    pub fn fresh(now: Timestamp, random: [u8; 10]) -> Self {
        Self(uuid_v7(now, random))
    }
}

impl QueryId {
    /// A fresh id from the time and ten random bytes (UUID version 7).
    #[must_use]
    pub fn fresh(now: Timestamp, random: [u8; 10]) -> Self {
        Self(uuid_v7(now, random))
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for QueryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A record's version, from 1 upwards; the newest wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(u32);

impl Version {
    /// The first version of a record.
    pub const FIRST: Self = Self(1);

    /// The version with this number, unless it is 0.
    #[must_use]
    pub const fn of(number: u32) -> Option<Self> {
        if number == 0 {
            None
        } else {
            Some(Self(number))
        }
    }

    /// The number, 1 or more.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }

    /// The next version; saturates.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// The number of a key epoch, counted from the network's genesis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u32);

impl Epoch {
    /// The epoch before, if there is one.
    #[must_use]
    pub const fn previous(self) -> Option<Self> {
        match self.0.checked_sub(1) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The epoch after; saturates.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

macro_rules! word_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$vdoc])* $variant,)*
        }

        impl $name {
            /// Every value, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The word for it in files, on the command line and in JSON.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }

            /// The value that has this word.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.word() == word)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.word())
            }
        }
    };
}
pub(crate) use word_enum;

word_enum!(
    /// What a member furnishes, and so what it is evaluated under.
    Level {
        /// Accounts, applications, holds and signals.
        Full = "full",
        /// Default signals only.
        Defaults = "defaults",
    }
);

word_enum!(
    /// What a member is in the network.
    Role {
        /// A lending platform.
        Lender = "lender",
        /// A credit bureau.
        Bureau = "bureau",
        /// A regulator or auditor: watches, is not evaluated.
        Regulator = "regulator",
    }
);

word_enum!(
    /// Why a member asks. What is never allowed is named in [`NeverPurpose`](super::NeverPurpose).
    Purpose {
        /// A borrower applied for credit.
        CreditApplication = "credit-application",
        /// The check right before paying out.
        PreFundingRecheck = "pre-funding-recheck",
        /// Review of an account that the asker holds.
        AccountReview = "account-review",
        /// Collection of a debt that the asker holds.
        Collection = "collection",
        /// Prevention of fraud.
        FraudPrevention = "fraud-prevention",
        /// The borrower asks about itself.
        SelfAccess = "self-access",
    }
);
