//! Certificate profiles: how long certificates live. The files stand in `certs/profiles/`.

use std::time::Duration;

use serde::Deserialize;

use crate::limits::{CERTIFICATE_BACKDATE_MINUTES_MAX, CERTIFICATE_LIFE_DAYS_MAX};

/// How long certificates of one kind live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Days from signing to the end.
    pub life_days: u32,
    /// Minutes by which the beginning is dated back.
    pub backdate_minutes: u32,
}

/// A profile cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// Not TOML with exactly the two fields.
    #[error("certificate profile: {reason}; compare it with certs/profiles/member.toml")]
    Malformed {
        /// What the reader stumbled over.
        reason: String,
    },
    /// A number is out of bounds.
    #[error(
        "certificate profile: life_days must be 1 to {CERTIFICATE_LIFE_DAYS_MAX}, \
         backdate_minutes at most {CERTIFICATE_BACKDATE_MINUTES_MAX}"
    )]
    OutOfBounds,
}

impl Profile {
    /// Reads a profile.
    ///
    /// # Errors
    /// [`ProfileError`].
    pub fn parse(text: &str) -> Result<Self, ProfileError> {
        let profile: Self = toml::from_str(text).map_err(|error| ProfileError::Malformed {
            reason: error.message().to_owned(),
        })?;
        let sound = (1..=CERTIFICATE_LIFE_DAYS_MAX).contains(&profile.life_days)
            && profile.backdate_minutes <= CERTIFICATE_BACKDATE_MINUTES_MAX;
        if sound {
            Ok(profile)
        } else {
            Err(ProfileError::OutOfBounds)
        }
    }

    /// Time from signing to the end.
    #[must_use]
    pub const fn life(&self) -> Duration {
        Duration::from_secs(self.life_days as u64 * 86_400)
    }

    /// Time by which the beginning is dated back.
    #[must_use]
    pub const fn backdate(&self) -> Duration {
        Duration::from_secs(self.backdate_minutes as u64 * 60)
    }
}

/// The profiles of all kinds of certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Profiles {
    /// Of the root authority.
    pub root: Profile,
    /// Of issuing authorities.
    pub issuing: Profile,
    /// Of members.
    pub member: Profile,
    /// Of members in a network with a registrar, and of the registrar itself: they renew alone.
    pub renewed: Profile,
}

impl Profiles {
    /// The profiles that the program carries; an administrator's own files may replace each.
    ///
    /// # Errors
    /// [`ProfileError`] where a file was broken before the program was built.
    pub fn embedded() -> Result<Self, ProfileError> {
        Ok(Self {
            root: Profile::parse(include_str!("../../certs/profiles/root.toml"))?,
            issuing: Profile::parse(include_str!("../../certs/profiles/issuing.toml"))?,
            member: Profile::parse(include_str!("../../certs/profiles/member.toml"))?,
            renewed: Profile::parse(include_str!("../../certs/profiles/renewed.toml"))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embedded_profiles_are_sound_and_outlive_each_other_in_order() {
        let profiles = Profiles::embedded().unwrap();
        assert!(profiles.renewed.life_days < profiles.member.life_days);
        assert!(profiles.member.life_days < profiles.issuing.life_days);
        assert!(profiles.issuing.life_days < profiles.root.life_days);
    }

    #[test]
    fn a_profile_with_unknown_or_wild_fields_is_refused() {
        let unknown = "life_days = 1\nbackdate_minutes = 1\nis_ca = true\n";
        assert!(matches!(
            Profile::parse(unknown),
            Err(ProfileError::Malformed { .. })
        ));
        for wild in [
            "life_days = 0\nbackdate_minutes = 1\n",
            "life_days = 1\nbackdate_minutes = 100000\n",
        ] {
            assert_eq!(Profile::parse(wild), Err(ProfileError::OutOfBounds));
        }
    }
}
