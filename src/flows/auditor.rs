//! The auditor's side: its key, and openings compared with what both sides logged.

use std::sync::Arc;

use futures::future::join_all;

use super::draft::Draft;
use super::{FlowError, Home, retry_conflicts};
use crate::crypto::Secret;
use crate::crypto::hpke::HpkeKey;
use crate::domain::{MemberId, Role, Timestamp};
use crate::limits::{LOGGED_DEADLINE, LOGS_SKEW_MAX};
use crate::membership::AuditorKeyStatement;
use crate::protocol::audit::audit_origin;
use crate::protocol::opening::{AskedLine, OpenedPeer, Opening, OpeningFault, SealedOpening};
use crate::risk::fishing::{Canaries, Opened, Touched, touched};
use crate::store::Table;
use crate::wire::{LoggedEntry, LoggedWanted};

/// Pages of one peer's log that are read to find one query.
const PAGES_MAX: usize = 64;

/// What one peer logged of an opened query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AtPeer {
    /// The same elements, purpose, level and epoch.
    Agrees,
    /// Something else under the same commitment.
    Differs(String),
    /// Nothing.
    NotLogged,
    /// It could not be asked.
    Unreachable(String),
}

impl AtPeer {
    /// A word for programs, which stays.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Agrees => "agrees",
            Self::Differs(_) => "differs",
            Self::NotLogged => "not-logged",
            Self::Unreachable(_) => "unreachable",
        }
    }

    /// What it is, in words.
    #[must_use]
    pub fn says(&self) -> String {
        match self {
            Self::Agrees => String::new(),
            Self::Differs(what) => what.clone(),
            Self::NotLogged => "its log has no evaluation with this commitment: the question did \
                                not arrive, or was not logged"
                .to_owned(),
            Self::Unreachable(why) => why.clone(),
        }
    }
}

/// What an opening shows.
#[derive(Debug)]
pub struct Checked {
    /// Who opened it.
    pub opener: MemberId,
    /// Position of the entry in the opener's log.
    pub entry: u64,
    /// What was opened.
    pub opening: Opening,
    /// What does not hold between it and the opener's log.
    pub fault: Option<OpeningFault>,
    /// What each peer logged.
    pub peers: Vec<(MemberId, AtPeer)>,
    /// Whether it asked about canaries.
    pub touched: Option<Touched>,
}

/// What an auditor's node does.
#[derive(Debug, Clone)]
pub struct Auditor(Arc<Home>);

impl Auditor {
    /// The auditor's side of this node.
    #[must_use]
    pub const fn new(home: Arc<Home>) -> Self {
        Self(home)
    }

    /// This node's own side.
    pub(super) fn home(&self) -> &Home {
        &self.0
    }

    /// The key that openings are encrypted to, made and durable if there was none.
    ///
    /// # Errors
    /// [`FlowError::NotPossible`] where this member has another role, [`FlowError::Store`].
    pub async fn key(&self) -> Result<(HpkeKey, AuditorKeyStatement), FlowError> {
        let home = &self.0;
        let own = home.own_entry();
        if own.is_none_or(|own| own.role != Role::Regulator) {
            return Err(FlowError::NotPossible(
                "this member is no auditor: openings are made to members with the role \
                 `regulator`"
                    .to_owned(),
            ));
        }
        let (seed, announced_at) = retry_conflicts(|| self.seed()).await?;
        let key = HpkeKey::derive(&seed);
        let (identity, network) = (home.identity(), home.network());
        let (own, public) = (&home.member, key.public());
        let stated = AuditorKeyStatement::make(&identity, network, own, public, announced_at);
        Ok((key, stated))
    }

    async fn seed(&self) -> Result<(Secret<32>, Timestamp), FlowError> {
        let home = &self.0;
        let name = home.vault.row_key(Table::Key, b"auditor/hpke");
        if let Some(row) = home.vault.read(Table::Key, &name).await? {
            let unreadable = || FlowError::Unreadable {
                what: "auditor's key",
            };
            let (at, seed) = row.bytes.split_first_chunk::<8>().ok_or_else(unreadable)?;
            let seed: [u8; 32] = seed.try_into().map_err(|_| unreadable())?;
            let at = Timestamp::from_unix_ms(i64::from_be_bytes(*at));
            return Ok((Secret::from_bytes(seed), at));
        }
        let seed = Secret::<32>::random(&*home.entropy)?;
        let now = home.clock.now();
        let mut plain = now.unix_ms().to_be_bytes().to_vec();
        plain.extend_from_slice(seed.expose());
        let mut draft = Draft::default();
        draft.put(Table::Key, &name, 0, plain);
        draft.commit(&home.vault).await?;
        Ok((seed, now))
    }

    /// Reads an opening and compares it with the opener's log, with that of each peer asked, and
    /// with identifiers that nobody owns.
    ///
    /// # Errors
    /// [`FlowError::NotPossible`] where the file cannot be read here, or its entry is not proven to
    /// be in the opener's log.
    pub async fn check(&self, text: &str, canaries: &Canaries) -> Result<Checked, FlowError> {
        let home = &self.0;
        let refused = |why: String| FlowError::NotPossible(why);
        let sealed = SealedOpening::parse(text).map_err(|error| refused(error.to_string()))?;
        if sealed.network != *home.network() || sealed.auditor != home.member {
            return Err(refused(format!(
                "the opening is for {} of network {}, and this is {} of {}",
                sealed.auditor,
                sealed.network,
                home.member,
                home.network()
            )));
        }
        let (key, _) = self.key().await?;
        let opened = sealed.open(&key);
        let (proof, opening) = opened.map_err(|error| refused(error.to_string()))?;
        let opener = &sealed.opener;
        let roster = home.trust.roster();
        let listed = roster.member(opener);
        let listed = listed.ok_or_else(|| refused(format!("{opener} is no member")))?;
        let signed = proof.verify(&[listed.identity_key]);
        let signed = signed.map_err(|error| refused(format!("the log of {opener}: {error}")))?;
        if signed.origin() != audit_origin(opener) {
            return Err(refused(format!("the proof is not of the log of {opener}")));
        }
        let asked = AskedLine::parse(&proof.entry);
        let asked = asked.ok_or_else(|| refused("the entry opened is no query".to_owned()))?;
        let fault = opening.check(&asked).err();
        let peers = join_all(opening.peers.iter().map(|peer| async {
            let found = self.at_peer(opener, &asked, peer, &opening).await;
            (peer.member.clone(), found)
        }));
        let borrowers = opening.borrowers.iter();
        let identifiers = borrowers.flat_map(|one| [&one.national, &one.phone]);
        let opened = identifiers.flatten().map(|identifier| Opened {
            member: opener.clone(),
            position: sealed.entry,
            at: asked.at,
            identifier: identifier.clone(),
        });
        let opened: Vec<Opened> = opened.collect();
        Ok(Checked {
            touched: touched(&opened, canaries).pop(),
            opener: opener.clone(),
            entry: sealed.entry,
            peers: peers.await,
            opening,
            fault,
        })
    }

    /// What a peer logged under the commitment of an opened query.
    async fn at_peer(
        &self,
        opener: &MemberId,
        asked: &AskedLine,
        peer: &OpenedPeer,
        opening: &Opening,
    ) -> AtPeer {
        match self.logged_at(opener, asked, &peer.member).await {
            Err(error) => AtPeer::Unreachable(error.to_string()),
            Ok(found) if found.is_empty() => AtPeer::NotLogged,
            Ok(found) => {
                let same = |one: &LoggedEntry| {
                    one.batch == peer.batch
                        && one.purpose == asked.purpose
                        && (one.level, one.epoch) == (peer.level, peer.epoch)
                        && one.elements == opening.elements()
                };
                match found.iter().find(|one| !same(one)) {
                    None => AtPeer::Agrees,
                    Some(other) => AtPeer::Differs(difference(other, asked, peer, opening)),
                }
            }
        }
    }

    async fn logged_at(
        &self,
        opener: &MemberId,
        asked: &AskedLine,
        peer: &MemberId,
    ) -> Result<Vec<LoggedEntry>, FlowError> {
        let home = &self.0;
        let roster = home.trust.roster();
        let listed = roster.member(peer).ok_or(FlowError::NotFound {
            what: "member in the list",
        })?;
        let mut found = Vec::new();
        let mut wanted = LoggedWanted {
            asker: opener.clone(),
            answerer: peer.clone(),
            from: asked.at.minus(LOGS_SKEW_MAX),
            until: asked.at.plus(LOGS_SKEW_MAX),
            next: 0,
            commitment: Some(asked.commitment),
        };
        for _ in 0..PAGES_MAX {
            let page = home.peers.logged(listed, LOGGED_DEADLINE, wanted.clone());
            let page = page.await?;
            let ours = |one: &LoggedEntry| one.commitment == asked.commitment;
            found.extend(page.entries.into_iter().filter(ours));
            match page.next {
                // A peer that does not get on would be asked for ever.
                Some(next) if next > wanted.next => wanted.next = next,
                Some(_) | None => break,
            }
        }
        Ok(found)
    }
}

/// The first thing in which a peer's entry differs from what was opened.
fn difference(
    logged: &LoggedEntry,
    asked: &AskedLine,
    peer: &OpenedPeer,
    opening: &Opening,
) -> String {
    let place = format!("entry {} of its log", logged.position);
    if logged.purpose != asked.purpose {
        return format!("{place} names the purpose {}", logged.purpose);
    }
    if logged.elements != opening.elements() {
        let elements = logged.elements;
        return format!("{place} tells of {elements} elements");
    }
    if logged.batch != peer.batch {
        return format!("{place} is of other blinded elements");
    }
    let (level, epoch) = (logged.level, logged.epoch);
    format!("{place} is of level {level} and key epoch {epoch}")
}
