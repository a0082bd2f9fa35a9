//! What the registrar does with each request: it holds documents, counts signatures, and certifies
//! the keys of those whom the list in force names.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::files::{Files, Kept};
use super::issuing::Issuing;
use super::log::MembershipLog;
use crate::domain::{MemberId, Timestamp};
use crate::env::{Clock, Entropy};
use crate::limits::{CLOCK_SKEW_MAX, DESK_REQUESTS_MAX, FRESHNESS_INTERVAL};
use crate::membership::{
    Applicant, Departure, Document, Invitation, JoinRequest, Member, MemberList, OwnChange,
    PeerCertificate, Profile, Roster, Signed, SigningKey, Welcome, check_change, check_desk,
    check_invitation, check_renewal, check_request, state_freshness,
};
use crate::net::TrustHandle;
use crate::node::admin::INVITATION_LIFE;
use crate::node::issued::Issued;
use crate::service::RegistrarRefusal;
use crate::wire::{DeskView, Enrolment, InvitationKey, Standing, Tally};

/// The registrar's state and keys. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Desk(pub(super) Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) folder: PathBuf,
    pub(super) members_path: PathBuf,
    pub(super) trust: TrustHandle,
    pub(super) issuing: Issuing,
    pub(super) profile: Profile,
    pub(super) freshness_key: Option<SigningKey>,
    pub(super) log: Option<MembershipLog>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) files: Mutex<Files>,
    pub(super) issued: Mutex<Issued>,
    /// The last key of each member that was renewed, and its certificates.
    pub(super) renewed: Mutex<BTreeMap<MemberId, ([u8; 32], String)>>,
    pub(super) nodes: Mutex<Nodes>,
    pub(super) news: watch::Sender<u64>,
}

/// How far the members' nodes are.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    /// The list last published here, and when by the uptime.
    pub(super) published: Option<(u32, Duration)>,
    pub(super) standings: BTreeMap<MemberId, NodeState>,
}

#[derive(Debug, Default, Clone)]
pub(super) struct NodeState {
    pub(super) followers: usize,
    pub(super) root_version: u32,
    pub(super) leads_to: Vec<[u8; 32]>,
    pub(super) certificate_not_after: Option<Timestamp>,
    pub(super) list_version: u32,
    pub(super) cut: u32,
    pub(super) took_ms: u64,
}

pub(super) type Outcome<T> = Result<T, RegistrarRefusal>;

pub(super) fn document(error: impl std::fmt::Display) -> RegistrarRefusal {
    RegistrarRefusal::Document(error.to_string())
}

pub(super) fn local(error: impl std::fmt::Display) -> RegistrarRefusal {
    RegistrarRefusal::Local(error.to_string())
}

pub(super) fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

impl Inner {
    pub(super) fn files(&self) -> MutexGuard<'_, Files> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn nodes(&self) -> MutexGuard<'_, Nodes> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) fn freshness(&self) -> Option<String> {
        let held = self.trust.freshness();
        held.map(|freshness| freshness.text().to_owned())
    }

    /// States anew which list is the newest, where the network asks for that and the last statement
    /// is some minutes old or `at_once`. Gives whether all is well.
    pub(super) fn state_freshness(&self, at_once: bool) -> bool {
        let Some(key) = &self.freshness_key else {
            return true;
        };
        let now = self.now();
        let held = self.trust.freshness();
        let is_due = held.is_none_or(|held| now.since(held.issued_at()) >= FRESHNESS_INTERVAL);
        if !(is_due || at_once) {
            return true;
        }
        let (root, roster) = (self.trust.root(), self.trust.roster());
        let stated = state_freshness(&root, &roster, key.key(), now)
            .and_then(|text| self.trust.install_freshness(&text));
        match stated {
            Ok(_) => {
                self.tell();
                true
            }
            Err(error) => {
                tracing::error!(%error, "cannot state freshness");
                false
            }
        }
    }

    pub(super) fn tell(&self) {
        self.news.send_modify(|generation| *generation += 1);
    }

    pub(super) fn open_invitation(&self, key: &InvitationKey) -> Outcome<String> {
        let files = self.files();
        let kept = files.invited(key)?;
        if kept.spent {
            return Err(RegistrarRefusal::Spent);
        }
        kept.invitation.to_text().map_err(local)
    }

    pub(super) fn enrol(&self, key: &InvitationKey, text: &str) -> Outcome<Enrolment> {
        let request = Signed::<JoinRequest>::parse(text).map_err(document)?;
        let mut files = self.files();
        let kept = files.invited(key)?.clone();
        if kept.spent {
            return Err(RegistrarRefusal::Spent);
        }
        if request.document().invitation != kept.invitation {
            return Err(document("the request answers another invitation"));
        }
        let other_key = |before: &Signed<JoinRequest>| {
            before.document().identity_key != request.document().identity_key
        };
        if kept.request.as_ref().is_some_and(other_key) {
            return Err(RegistrarRefusal::OtherApplicant);
        }
        // An approval may take until after the invitation's end: what counts is that the request
        // came before it.
        let filed = kept.filed_unix_ms.map(Timestamp::from_unix_ms);
        let filed = filed.unwrap_or_else(|| self.now());
        let root = self.root_with(&kept.invitation.document().fingerprint);
        let applicant = check_request(&root, &request, filed).map_err(document)?;
        let roster = self.trust.roster();
        let listed = roster.member(&applicant.member.id).cloned();
        if let Some(member) = listed {
            return self.welcome(&mut files, kept, &applicant, &member);
        }
        let (signed, needed) = self.signatures_for(&files, &applicant.member);
        let is_new = kept.request.as_ref() != Some(&request);
        if is_new {
            let kept = Kept {
                request: Some(request),
                filed_unix_ms: Some(filed.unix_ms()),
                ..kept
            };
            files.keep(kept)?;
        }
        Ok(Enrolment::Waiting { signed, needed })
    }

    /// How many administrators signed a proposal with this entry, and how many must.
    fn signatures_for(&self, files: &Files, member: &Member) -> (u32, u32) {
        let root = self.trust.root();
        let keys = root.administrator_keys();
        let names = |list: &&Signed<MemberList>| list.document().member(&member.id) == Some(member);
        let lists = files.proposals.values().filter(names);
        let signed = lists.map(|list| list.valid_signatures(&keys).unwrap_or(0));
        (count(signed.max().unwrap_or(0)), count(root.threshold()))
    }

    /// Certificate and list for an applicant whom the list in force names: the same certificate
    /// again, as long as it can be used.
    fn welcome(
        &self,
        files: &mut Files,
        kept: Kept,
        applicant: &Applicant,
        member: &Member,
    ) -> Outcome<Enrolment> {
        if member.identity_key != applicant.member.identity_key {
            return Err(RegistrarRefusal::NotNow(format!(
                "the member list names {} with another identity key: ask the administrators",
                member.id
            )));
        }
        if self.trust.roster().listed(&member.id).is_err() {
            return Err(RegistrarRefusal::NotNow(format!(
                "{} is not active on the member list: ask the administrators",
                member.id
            )));
        }
        let now = self.now();
        let usable = |chain: &String| {
            PeerCertificate::first_of(chain).is_ok_and(|leaf| {
                leaf.not_after() > now && leaf.spki_sha256() == applicant.key.spki_sha256()
            })
        };
        let chain = match kept.chain.clone().filter(usable) {
            Some(chain) => chain,
            None => {
                let chain = self.issue(member, &applicant.key, &applicant.statement)?;
                let kept = Kept {
                    chain: Some(chain.clone()),
                    ..kept
                };
                files.keep(kept)?;
                chain
            }
        };
        let welcome = Welcome {
            format: Welcome::FORMAT.to_owned(),
            certificate_chain: chain,
            list: self.trust.roster().signed().clone(),
        };
        Ok(Enrolment::Welcome {
            welcome: Signed::unsigned(welcome).to_text().map_err(local)?,
            freshness: self.freshness(),
        })
    }

    pub(super) fn acknowledge(&self, key: &InvitationKey) -> Outcome<()> {
        let mut files = self.files();
        let kept = files.invited(key)?.clone();
        if kept.spent {
            return Ok(());
        }
        if kept.chain.is_none() {
            let why = "there is nothing to acknowledge: no certificate was issued yet";
            return Err(RegistrarRefusal::NotNow(why.to_owned()));
        }
        let terms = &kept.invitation.document().terms;
        self.log_spent(kept.invitation.document().invitation_id, &terms.member)?;
        files.keep(Kept {
            spent: true,
            ..kept
        })
    }

    pub(super) fn renew(&self, text: &str) -> Outcome<String> {
        let roster = self.trust.roster();
        let renewal = check_renewal(&roster, text, self.now()).map_err(document)?;
        self.require_active(&renewal.member.id)?;
        let key = *renewal.key.spki_sha256();
        // The same request again, because its answer was lost or because somebody who saw it
        // repeats it, makes no further certificate.
        let mut renewed = self.renewed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((last, chain)) = renewed.get(&renewal.member.id)
            && *last == key
        {
            return Ok(chain.clone());
        }
        let chain = self.issue(&renewal.member, &renewal.key, &renewal.statement)?;
        renewed.insert(renewal.member.id, (key, chain.clone()));
        Ok(chain)
    }

    pub(super) fn change_entry(&self, text: String) -> Outcome<()> {
        if Departure::is_meant(&text) {
            return self.take_departure(&text);
        }
        let change = check_change(&self.trust.roster(), &text).map_err(document)?;
        change.check_fresh(self.now()).map_err(document)?;
        self.files().ask(change.member, text)
    }

    pub(super) fn invite(&self, text: &str, secret_sha256: &[u8; 32]) -> Outcome<()> {
        let invitation = Signed::<Invitation>::parse(text).map_err(document)?;
        let root = check_invitation(&invitation, self.now()).map_err(document)?;
        if root.fingerprint() != self.trust.root().fingerprint() {
            return Err(document("the invitation is for another network root"));
        }
        let ends_at = invitation.document().expires_at;
        if ends_at > self.now().plus(INVITATION_LIFE).plus(CLOCK_SKEW_MAX) {
            return Err(document(
                "the invitation lives longer than 48 hours: write one that ends sooner, and \
                 compare the clocks",
            ));
        }
        let mut files = self.files();
        let id = invitation.document().invitation_id;
        let secret_sha256 = data_encoding::HEXLOWER.encode(secret_sha256);
        if let Some(kept) = files.invitations.get(&id) {
            let same = kept.invitation == invitation && kept.secret_sha256 == secret_sha256;
            let other = "another invitation with this number is kept: write a new one";
            return if same { Ok(()) } else { Err(document(other)) };
        }
        let kept = Kept {
            invitation,
            secret_sha256,
            request: None,
            filed_unix_ms: None,
            chain: None,
            spent: false,
        };
        files.begin(kept, &root.administrator_keys(), self.now())
    }

    pub(super) fn desk(&self, text: &str) -> Outcome<DeskView> {
        check_desk(&self.trust.root(), text, self.now()).map_err(document)?;
        let roster = self.trust.roster();
        let files = self.files();
        let texts = |list: &Signed<MemberList>| list.to_text().map_err(local);
        let waits = |kept: &&Kept| {
            let invited = &kept.invitation.document().terms.member;
            !kept.spent && roster.member(invited).is_none()
        };
        let waiting = files.invitations.values().filter(waits);
        let requests = in_turn(waiting.collect(), &self.trust.root().administrator_keys());
        Ok(DeskView {
            list: roster.signed().to_text().map_err(local)?,
            proposals: files
                .proposals
                .values()
                .map(texts)
                .collect::<Outcome<_>>()?,
            requests: requests
                .take(DESK_REQUESTS_MAX)
                .map(|request| request.to_text().map_err(local))
                .collect::<Outcome<_>>()?,
            changes: files.changes.values().cloned().collect(),
            nodes: self.standings(&roster),
            departures: roster.departures().texts(),
            root_proposals: files
                .root_proposals
                .values()
                .map(|root| root.to_text().map_err(local))
                .collect::<Outcome<_>>()?,
        })
    }

    fn standings(&self, roster: &Roster) -> Vec<Standing> {
        let nodes = self.nodes();
        let active = roster.list().members.iter();
        let active = active.filter(|member| roster.listed(&member.id).is_ok());
        active
            .map(|member| {
                let state = nodes.standings.get(&member.id);
                let state = state.cloned().unwrap_or_default();
                Standing {
                    member: member.id.clone(),
                    list_version: state.list_version,
                    cut: state.cut,
                    took_ms: state.took_ms,
                    follows: state.followers > 0,
                    root_version: state.root_version,
                    leads_to: state.leads_to,
                    certificate_not_after: state.certificate_not_after,
                }
            })
            .collect()
    }

    /// Holds a next list, or publishes it once enough administrators signed it.
    pub(super) fn put_list(&self, text: &str) -> Outcome<Tally> {
        let mut offered = Signed::<MemberList>::parse(text).map_err(document)?;
        let (root, roster) = (self.trust.root(), self.trust.roster());
        let keys = root.administrator_keys();
        let needed = root.threshold();
        let digest = offered.digest().map_err(document)?;
        if digest == *roster.digest() {
            let signed = roster.signed().valid_signatures(&keys).map_err(local)?;
            return Ok(Tally {
                signed: count(signed),
                needed: count(needed),
                published: true,
            });
        }
        offered.require(&keys, 1).map_err(document)?;
        let list = offered.document();
        list.check().map_err(document)?;
        let follows = list.network == *roster.network()
            && list.version == roster.version().saturating_add(1)
            && list.previous == Some(*roster.digest());
        if !follows {
            return Err(RegistrarRefusal::NotNow(format!(
                "list {} does not follow list {} in force: look again, and sign a new one",
                list.version,
                roster.version()
            )));
        }
        self.says_departures(list)?;
        let now = self.now();
        if list.issued_at > now.plus(CLOCK_SKEW_MAX) || list.expires_at <= now {
            return Err(document("the list is not of this time: compare the clocks"));
        }
        let mut files = self.files();
        if let Some(held) = files.proposals.get(&digest) {
            offered.take_signatures(held, &keys);
        }
        let signed = offered.valid_signatures(&keys).map_err(document)?;
        let published = signed >= needed;
        if published {
            self.publish(&mut files, &offered)?;
        } else {
            files.hold(digest, offered, &keys)?;
        }
        Ok(Tally {
            signed: count(signed),
            needed: count(needed),
            published,
        })
    }
}

/// Requests to join: the newest of each inviter, then the next one of each. So those that nobody
/// signs push no other one out of sight, and no administrator's invitations those of another one.
fn in_turn<'a>(
    mut waiting: Vec<&'a Kept>,
    administrators: &[[u8; 32]],
) -> impl Iterator<Item = &'a Signed<JoinRequest>> + use<'a> {
    waiting.retain(|kept| kept.request.is_some());
    waiting.sort_by_key(|kept| Reverse(kept.filed_unix_ms));
    let mut shown: BTreeMap<Option<[u8; 32]>, usize> = BTreeMap::new();
    let turns = waiting.into_iter().map(|kept| {
        let turn = shown.entry(kept.inviter(administrators)).or_default();
        *turn += 1;
        (*turn, kept)
    });
    let mut turns: Vec<(usize, &Kept)> = turns.collect();
    turns.sort_by_key(|(turn, _)| *turn);
    turns
        .into_iter()
        .filter_map(|(_, kept)| kept.request.as_ref())
}

/// Whether a member's request still asks for something that the list does not say.
pub(super) fn still_wanted(roster: &Roster, text: &str) -> bool {
    check_change(roster, text).is_ok_and(|change| match change.change {
        OwnChange::Endpoints(wanted) => roster
            .member(&change.member)
            .is_some_and(|member| member.endpoints != wanted),
        // Signed by the key that the list pins: so it is not granted.
        OwnChange::IdentityKey(_) => true,
    })
}
