//! Which certificates the administrators' folder issued, and the revocation list made of them.
//!
//! ```text
//! issued                 one line each: serial number, end in seconds since 1970, member
//! authority/issuing.crl  those whose member is suspended or removed, for tools outside
//! ```

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use super::NodeError;
use super::admin::AdminError;
use super::join::replace;
use crate::domain::{MemberId, Timestamp};
use crate::membership::{Authority, MemberState, RevokedCertificate, Roster, issued_by_chain};

/// Notes a certificate that is about to be handed out.
pub(super) fn note(folder: &Path, member: &MemberId, chain_pem: &str) -> Result<(), AdminError> {
    let (serial, not_after) = issued_by_chain(chain_pem)?;
    let path = folder.join("issued");
    let written = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .and_then(|mut file| {
            writeln!(file, "{serial} {} {member}", not_after.unix_ms() / 1_000)?;
            file.sync_all()
        });
    Ok(written.map_err(|error| NodeError::file(&path, &error))?)
}

/// Writes the revocation list that follows from the member list in force.
pub(super) fn write_revoked(
    folder: &Path,
    authority: &Authority,
    roster: &Roster,
    now: Timestamp,
) -> Result<(), AdminError> {
    let path = folder.join("issued");
    let text = match super::read_text(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        read => read.map_err(|error| NodeError::file(&path, &error))?,
    };
    let since = roster.list().issued_at;
    let revoked = |line: &str| {
        let mut parts = line.split(' ');
        let (serial, end, member) = (parts.next()?, parts.next()?, parts.next()?);
        let end_s: i64 = end.parse().ok()?;
        let state = roster.member(&member.parse().ok()?)?.state;
        let is_refused = state != MemberState::Active && end_s > now.unix_ms() / 1_000;
        is_refused.then(|| RevokedCertificate {
            serial: serial.to_owned(),
            since,
            on_hold: state == MemberState::Suspended,
        })
    };
    let revoked: Vec<_> = text.lines().filter_map(revoked).collect();
    let number = u64::from(roster.version());
    let list = authority.revocation_list(&revoked, number, now, roster.expires_at())?;
    Ok(replace(
        &folder.join("authority/issuing.crl"),
        list.as_bytes(),
    )?)
}
