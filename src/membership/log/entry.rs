//! Entries of a membership log: what happened, as bytes that have exactly one form.
//!
//! ```text
//! format 1 (1 byte) · kind (1 byte) · moment (8 bytes, milliseconds since 1970) · fields
//! ```
//! Numbers are in network byte order, a name is its length in one byte and its characters.

use crate::domain::{Epoch, Level, MemberId, Timestamp};
use crate::limits::{LOG_ENTRY_BYTES_MAX, MEMBERS_MAX};
use crate::membership::{CertificateStatement, KeyStatement, KeyTerms, MemberState};

/// First byte of every entry.
const FORMAT: u8 = 1;

const ROOT: u8 = 1;
const LIST: u8 = 2;
const CERTIFICATE: u8 = 3;
const OPRF: u8 = 4;
const SPENT: u8 = 5;

/// One entry of a membership log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// When the registrar logged it, by its clock.
    pub at: Timestamp,
    /// What happened.
    pub event: LogEvent,
}

/// What a membership log records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogEvent {
    /// A network root came into force at the registrar.
    Root {
        /// Its version, from 1.
        version: u32,
        /// Its fingerprint.
        digest: [u8; 32],
    },
    /// A member list came into force at the registrar.
    List {
        /// Its version, from 1.
        version: u32,
        /// Its digest.
        digest: [u8; 32],
        /// Digest of the list before it.
        previous: Option<[u8; 32]>,
        /// Version of the root under which it was signed.
        root_version: u32,
        /// Members that are new since the list logged before, or whose state or identity key is
        /// another; in the order of their ids.
        pins: Vec<Pin>,
    },
    /// A member's TLS key was certified.
    Certificate {
        /// Whose.
        member: MemberId,
        /// SHA-256 of the key's `SubjectPublicKeyInfo`.
        spki_sha256: [u8; 32],
        /// The member's own statement about that key, as the certificate carries it.
        statement: CertificateStatement,
    },
    /// A member stated an OPRF key.
    OprfKey(KeyStatement),
    /// A joiner acknowledged its certificate: its invitation is spent.
    InvitationSpent {
        /// The invitation's number.
        invitation_id: [u8; 16],
        /// Who joined.
        member: MemberId,
    },
}

/// What a member list says of one member's keys and standing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// Whose.
    pub member: MemberId,
    /// Whether it takes part.
    pub state: MemberState,
    /// Its identity key (Ed25519).
    pub identity_key: [u8; 32],
}

/// Why bytes are not an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an entry of a membership log: {0}; its registrar must follow docs/membership.md")]
pub struct EntryMalformed(&'static str);

impl LogEntry {
    /// The entry's bytes: the leaf of the log.
    ///
    /// # Errors
    /// [`EntryMalformed`] where it is beyond a bound or its pins are not in order.
    pub fn encode(&self) -> Result<Vec<u8>, EntryMalformed> {
        let mut out = vec![FORMAT, self.event.kind()];
        out.extend_from_slice(&self.at.unix_ms().to_be_bytes());
        match &self.event {
            LogEvent::Root { version, digest } => {
                out.extend_from_slice(&version.to_be_bytes());
                out.extend_from_slice(digest);
            }
            LogEvent::List {
                version,
                digest,
                previous,
                root_version,
                pins,
            } => {
                out.extend_from_slice(&version.to_be_bytes());
                out.extend_from_slice(digest);
                put_option(&mut out, previous.as_ref());
                out.extend_from_slice(&root_version.to_be_bytes());
                put_pins(&mut out, pins)?;
            }
            LogEvent::Certificate {
                member,
                spki_sha256,
                statement,
            } => {
                put_name(&mut out, member)?;
                out.extend_from_slice(spki_sha256);
                out.extend_from_slice(&statement.to_bytes());
            }
            LogEvent::OprfKey(KeyStatement { terms, signature }) => {
                put_name(&mut out, &terms.member)?;
                out.push(level_byte(terms.level));
                out.extend_from_slice(&terms.epoch.0.to_be_bytes());
                out.extend_from_slice(&terms.public_key);
                out.extend_from_slice(&terms.announced_at.unix_ms().to_be_bytes());
                out.extend_from_slice(signature);
            }
            LogEvent::InvitationSpent {
                invitation_id,
                member,
            } => {
                out.extend_from_slice(invitation_id);
                put_name(&mut out, member)?;
            }
        }
        if out.len() > LOG_ENTRY_BYTES_MAX {
            return Err(EntryMalformed("it is longer than its bound"));
        }
        Ok(out)
    }

    /// Reads what [`Self::encode`] wrote; nothing of it is checked against anything else.
    ///
    /// # Errors
    /// [`EntryMalformed`]: every other form of the same content is refused.
    pub fn decode(bytes: &[u8]) -> Result<Self, EntryMalformed> {
        if bytes.len() > LOG_ENTRY_BYTES_MAX {
            return Err(EntryMalformed("it is longer than its bound"));
        }
        let mut reader = Reader(bytes);
        if reader.byte()? != FORMAT {
            return Err(EntryMalformed("its format is not known here"));
        }
        let kind = reader.byte()?;
        let at = reader.moment()?;
        let event = match kind {
            ROOT => LogEvent::Root {
                version: reader.number()?,
                digest: reader.bytes()?,
            },
            LIST => LogEvent::List {
                version: reader.number()?,
                digest: reader.bytes()?,
                previous: reader.option()?,
                root_version: reader.number()?,
                pins: reader.pins()?,
            },
            CERTIFICATE => LogEvent::Certificate {
                member: reader.name()?,
                spki_sha256: reader.bytes()?,
                statement: CertificateStatement::from_bytes(&reader.bytes()?),
            },
            OPRF => LogEvent::OprfKey(reader.key_statement()?),
            SPENT => LogEvent::InvitationSpent {
                invitation_id: reader.bytes()?,
                member: reader.name()?,
            },
            _ => return Err(EntryMalformed("its kind is not known here")),
        };
        if !reader.0.is_empty() {
            return Err(EntryMalformed("bytes follow its end"));
        }
        Ok(Self { at, event })
    }
}

impl LogEvent {
    const fn kind(&self) -> u8 {
        match self {
            Self::Root { .. } => ROOT,
            Self::List { .. } => LIST,
            Self::Certificate { .. } => CERTIFICATE,
            Self::OprfKey(_) => OPRF,
            Self::InvitationSpent { .. } => SPENT,
        }
    }

    /// A word for programs: `root`, `list`, `certificate`, `oprf-key` or `invitation-spent`.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Root { .. } => "root",
            Self::List { .. } => "list",
            Self::Certificate { .. } => "certificate",
            Self::OprfKey(_) => "oprf-key",
            Self::InvitationSpent { .. } => "invitation-spent",
        }
    }

    /// The member that it is about; a list is about every member that it pins anew.
    #[must_use]
    pub fn concerns(&self, member: &MemberId) -> bool {
        match self {
            Self::Root { .. } => false,
            Self::List { pins, .. } => pins.iter().any(|pin| pin.member == *member),
            Self::Certificate { member: one, .. } | Self::InvitationSpent { member: one, .. } => {
                one == member
            }
            Self::OprfKey(statement) => statement.terms.member == *member,
        }
    }
}

fn put_name(out: &mut Vec<u8>, name: &MemberId) -> Result<(), EntryMalformed> {
    let text = name.as_str();
    let length = u8::try_from(text.len()).map_err(|_| EntryMalformed("a name is too long"))?;
    out.push(length);
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

fn put_option(out: &mut Vec<u8>, digest: Option<&[u8; 32]>) {
    out.push(u8::from(digest.is_some()));
    out.extend_from_slice(digest.map_or(&[], <[u8; 32]>::as_slice));
}

fn put_pins(out: &mut Vec<u8>, pins: &[Pin]) -> Result<(), EntryMalformed> {
    let few = u16::try_from(pins.len()).ok();
    let few = few.filter(|_| pins.len() <= MEMBERS_MAX);
    let count = few.ok_or(EntryMalformed("it pins too many members"))?;
    if !pins.is_sorted_by(|one, next| one.member < next.member) {
        return Err(EntryMalformed("its members are not in order"));
    }
    out.extend_from_slice(&count.to_be_bytes());
    for pin in pins {
        put_name(out, &pin.member)?;
        out.push(state_byte(pin.state));
        out.extend_from_slice(&pin.identity_key);
    }
    Ok(())
}

const fn state_byte(state: MemberState) -> u8 {
    match state {
        MemberState::Active => 1,
        MemberState::Suspended => 2,
        MemberState::Removed => 3,
    }
}

const fn level_byte(level: Level) -> u8 {
    match level {
        Level::Full => 1,
        Level::Defaults => 2,
    }
}

struct Reader<'a>(&'a [u8]);

const SHORT: EntryMalformed = EntryMalformed("it ends too early");

impl Reader<'_> {
    fn byte(&mut self) -> Result<u8, EntryMalformed> {
        let [byte] = self.bytes()?;
        Ok(byte)
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], EntryMalformed> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(SHORT)?;
        self.0 = rest;
        Ok(*bytes)
    }

    fn number(&mut self) -> Result<u32, EntryMalformed> {
        Ok(u32::from_be_bytes(self.bytes()?))
    }

    fn moment(&mut self) -> Result<Timestamp, EntryMalformed> {
        Ok(Timestamp::from_unix_ms(i64::from_be_bytes(self.bytes()?)))
    }

    fn option(&mut self) -> Result<Option<[u8; 32]>, EntryMalformed> {
        match self.byte()? {
            0 => Ok(None),
            1 => Ok(Some(self.bytes()?)),
            _ => Err(EntryMalformed("a mark is neither 0 nor 1")),
        }
    }

    fn name(&mut self) -> Result<MemberId, EntryMalformed> {
        let length = usize::from(self.byte()?);
        let (name, rest) = self.0.split_at_checked(length).ok_or(SHORT)?;
        self.0 = rest;
        std::str::from_utf8(name)
            .ok()
            .and_then(|name| name.parse().ok())
            .ok_or(EntryMalformed("a name is no member's id"))
    }

    fn pins(&mut self) -> Result<Vec<Pin>, EntryMalformed> {
        let count = u16::from_be_bytes(self.bytes()?);
        if usize::from(count) > MEMBERS_MAX {
            return Err(EntryMalformed("it pins too many members"));
        }
        let mut pins: Vec<Pin> = Vec::new();
        for _ in 0..count {
            let pin = Pin {
                member: self.name()?,
                state: self.state()?,
                identity_key: self.bytes()?,
            };
            if pins.last().is_some_and(|last| last.member >= pin.member) {
                return Err(EntryMalformed("its members are not in order"));
            }
            pins.push(pin);
        }
        Ok(pins)
    }

    fn state(&mut self) -> Result<MemberState, EntryMalformed> {
        match self.byte()? {
            1 => Ok(MemberState::Active),
            2 => Ok(MemberState::Suspended),
            3 => Ok(MemberState::Removed),
            _ => Err(EntryMalformed("a member's state is not known here")),
        }
    }

    fn key_statement(&mut self) -> Result<KeyStatement, EntryMalformed> {
        let member = self.name()?;
        let level = match self.byte()? {
            1 => Level::Full,
            2 => Level::Defaults,
            _ => return Err(EntryMalformed("a level is not known here")),
        };
        let epoch = Epoch(self.number()?);
        let public_key = self.bytes()?;
        let announced_at = self.moment()?;
        let terms = KeyTerms {
            member,
            level,
            epoch,
            public_key,
            announced_at,
        };
        let signature = self.bytes()?;
        Ok(KeyStatement { terms, signature })
    }
}
