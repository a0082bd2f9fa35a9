//! Which certificates a folder issued, and the revocation list made of them.
//!
//! ```text
//! issued                 one line each: serial number, end in seconds since 1970, member, and
//!                        since when it is revoked, in seconds since 1970 or `-`
//! authority/issuing.crl  those whose member is suspended or removed, for tools outside
//! ```
//!
//! Certificates that have ended leave both with the next list.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::NodeError;
use super::admin::AdminError;
use super::join::replace;
use crate::domain::{MemberId, Timestamp};
use crate::limits::CERTIFICATES_PER_MEMBER_MAX;
use crate::membership::{Authority, MemberState, RevokedCertificate, Roster, issued_by_chain};

#[derive(Debug, Clone)]
struct One {
    serial: String,
    end_s: i64,
    revoked_s: Option<i64>,
}

impl One {
    fn is_live(&self, now: Timestamp) -> bool {
        self.end_s > second(now)
    }

    fn line(&self, member: &MemberId) -> String {
        let revoked = self
            .revoked_s
            .map_or_else(|| "-".to_owned(), |at| at.to_string());
        format!("{} {} {member} {revoked}\n", self.serial, self.end_s)
    }
}

/// What a folder issued and has not ended.
#[derive(Debug)]
pub(super) struct Issued {
    folder: PathBuf,
    by_member: BTreeMap<MemberId, Vec<One>>,
}

const fn second(at: Timestamp) -> i64 {
    at.unix_ms().div_euclid(1_000)
}

/// In which state a member is refused, if it is, and since when.
fn refused(roster: &Roster, member: &MemberId, now: Timestamp) -> (Option<MemberState>, i64) {
    // Whoever left is refused before a list says so.
    if let Some(at) = roster.departures().left_at(member) {
        return (Some(MemberState::Removed), second(at.min(now)));
    }
    let state = roster.member(member).map(|member| member.state);
    // One that is not on the list yet was issued to a member of the next list.
    let refused = state.filter(|state| *state != MemberState::Active);
    (refused, second(roster.list().issued_at))
}

fn read_line(line: &str) -> Option<(MemberId, One)> {
    let mut parts = line.split(' ');
    let (serial, end, member) = (parts.next()?, parts.next()?, parts.next()?);
    let revoked_s = match parts.next() {
        None | Some("-") => None,
        Some(at) => Some(at.parse().ok()?),
    };
    let one = One {
        serial: serial.to_owned(),
        end_s: end.parse().ok()?,
        revoked_s,
    };
    Some((member.parse().ok()?, one))
}

impl Issued {
    /// Reads the note of a folder; none means that nothing was issued.
    ///
    /// # Errors
    /// [`NodeError`] where it cannot be read.
    pub(super) fn open(folder: &Path) -> Result<Self, NodeError> {
        let path = folder.join("issued");
        let text = match super::read_text(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            read => read.map_err(|error| NodeError::file(&path, &error))?,
        };
        // A last line without its end was cut off by a crash: its certificate was never handed out.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let mut by_member = BTreeMap::<MemberId, Vec<One>>::new();
        for (at, line) in whole.lines().enumerate() {
            let (member, one) = read_line(line).ok_or_else(|| {
                let (file, number) = (path.display(), at + 1);
                NodeError::Folder(format!(
                    "{file}: line {number} is damaged; restore the file, or take the line out: its \
                     certificate will be missing in authority/issuing.crl"
                ))
            })?;
            by_member.entry(member).or_default().push(one);
        }
        let issued = Self {
            folder: folder.to_owned(),
            by_member,
        };
        if whole.len() + 1 < text.len() {
            issued.rewrite()?;
        }
        Ok(issued)
    }

    /// Whether this member may have another certificate.
    pub(super) fn has_room(&self, member: &MemberId, now: Timestamp) -> bool {
        let held = self.by_member.get(member);
        let live = held.map_or(0, |held| held.iter().filter(|one| one.is_live(now)).count());
        live < CERTIFICATES_PER_MEMBER_MAX
    }

    /// Notes a certificate that is about to be handed out, through to the disk.
    pub(super) fn note(&mut self, member: &MemberId, chain_pem: &str) -> Result<(), AdminError> {
        let (serial, not_after) = issued_by_chain(chain_pem)?;
        let one = One {
            serial,
            end_s: second(not_after),
            revoked_s: None,
        };
        let path = self.path();
        let written = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .and_then(|mut file| {
                let before = file.metadata()?.len();
                let noted = file.write_all(one.line(member).as_bytes());
                let noted = noted.and_then(|()| file.sync_all());
                // Half a line would spoil the next one.
                noted.inspect_err(|_| drop(file.set_len(before)))
            });
        written.map_err(|error| NodeError::file(&path, &error))?;
        self.by_member.entry(member.clone()).or_default().push(one);
        Ok(())
    }

    /// Writes the revocation list that follows from the member list in force, and forgets
    /// certificates that have ended.
    pub(super) fn write_revoked(
        &mut self,
        authority: &Authority,
        roster: &Roster,
        now: Timestamp,
    ) -> Result<(), AdminError> {
        let mut revoked = Vec::new();
        for (member, held) in &mut self.by_member {
            held.retain(|one| one.is_live(now));
            let (refused, since_s) = refused(roster, member, now);
            for one in held {
                one.revoked_s = refused.map(|_| one.revoked_s.unwrap_or(since_s));
                if let Some(at) = one.revoked_s {
                    revoked.push(RevokedCertificate {
                        serial: one.serial.clone(),
                        since: Timestamp::from_unix_ms(at.saturating_mul(1_000)),
                        on_hold: refused == Some(MemberState::Suspended),
                    });
                }
            }
        }
        self.by_member.retain(|_, held| !held.is_empty());
        self.rewrite()?;
        // RFC 5280 §5.2.3: the number grows with every list that is signed.
        let number = u64::try_from(now.unix_ms()).unwrap_or(0);
        let list = authority.revocation_list(&revoked, number, now, roster.expires_at())?;
        let path = self.folder.join("authority").join("issuing.crl");
        Ok(replace(&path, list.as_bytes())?)
    }

    fn path(&self) -> PathBuf {
        self.folder.join("issued")
    }

    fn rewrite(&self) -> Result<(), NodeError> {
        let mut text = String::new();
        for (member, held) in &self.by_member {
            text.extend(held.iter().map(|one| one.line(member)));
        }
        replace(&self.path(), text.as_bytes())
    }
}
