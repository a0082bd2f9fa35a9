//! What is wrong with this node, here and with each peer, and what to do about it.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;

use super::log_book::LogState;
use super::status::Source;
use super::{Folder, NodeError};
use crate::domain::{MemberId, Purpose, Timestamp};
use crate::flows::{DisputeState, FlowError, Home, dead_letters, late_disputes};
use crate::limits::{ALERT_PAGE_MAX, CLOCK_SKEW_MAX, FURNISHING_LATE_AFTER, MIRROR_FAULT_SHOWN};
use crate::membership::{LifeLeft, Member, PeerCertificate, Rights, Roster, Service, Wish};
use crate::net::{AskError, CallError};
use crate::service::Finding;
use crate::wire::Description;

/// How long one peer may take to say what it is.
const PATIENCE: Duration = Duration::from_secs(5);

/// Difference of clocks that is worth a word: certificates and checkpoints are dated.
const SKEW_WARNING: Duration = Duration::from_secs(5);

/// End of a document that is near enough to speak of.
const SOON: Duration = Duration::from_secs(14 * 86_400);

/// Free space below which the store will soon take no more writes: twice its own bounds.
const FREE_BYTES_SOON: u64 = 128 << 20;
const FREE_PERCENT_SOON: u64 = 20;

/// Late disputes that are named; the list command has them all.
const DISPUTE_FINDINGS_MAX: usize = 32;

/// What can be said of a node from its folder, whether or not it runs.
///
/// # Errors
/// [`NodeError`] where the folder is no node's.
pub fn examine_folder(folder: &Folder, now: Timestamp) -> Result<Vec<Finding>, NodeError> {
    let member = folder.config()?.member;
    let mut findings = vec![disk(folder)];
    match folder.leaf() {
        Ok(leaf) => findings.push(certificate(&leaf, now)),
        Err(error) => findings.push(broken("keys", &error, "join, or restore a backup")),
    }
    let root = match folder.root(now) {
        Ok(root) => root,
        Err(error) => {
            let fix = "fetch the network's root document from the administrators";
            findings.push(broken("list", &error, fix));
            return Ok(findings);
        }
    };
    findings.push(match folder.check_chain(now) {
        Ok(()) => Finding::fine("chain", "the certificate leads to a root of the network"),
        Err(error) => broken("chain", &error, "renew the certificate, or check the clock"),
    });
    findings.push(ending("root document", root.document().expires_at, now));
    let listed = folder
        .text(&folder.members())
        .and_then(|text| Ok(Roster::verify_kept(&root, &text, now)?));
    match listed {
        Ok(roster) => findings.extend(own_rights(&roster, &member, now)),
        Err(error) => {
            let fix = "fetch the newest members.json from the administrators";
            findings.push(broken("list", &error, fix));
        }
    }
    Ok(findings)
}

/// As [`examine_folder`] for a stopped node, whose store can be opened: whether it has the key of
/// its certificate too.
///
/// # Errors
/// As [`examine_folder`].
pub async fn examine_stopped(folder: &Folder, now: Timestamp) -> Result<Vec<Finding>, NodeError> {
    let mut findings = vec![Finding::warning(
        "reach",
        "the node does not run, so nothing can be said about its peers",
        "start it with `creditmesh node serve`",
    )];
    findings.extend(examine_folder(folder, now)?);
    if let Err(error) = folder.check_certificate(now).await {
        findings.push(broken(
            "keys",
            &error,
            "follow the reason, or restore a backup",
        ));
    }
    Ok(findings)
}

fn broken(area: &'static str, error: &NodeError, fix: &str) -> Finding {
    Finding::broken(area, error.to_string(), fix)
}

fn disk(folder: &Folder) -> Finding {
    let Ok(found) = rustix::fs::statvfs(folder.path()) else {
        return Finding::warning("disk", "its free space cannot be read", "check the folder");
    };
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    let total = found.f_blocks.saturating_mul(found.f_frsize).max(1);
    let percent = free.saturating_mul(100) / total;
    let says = format!("{} MiB free, {percent} % of the file system", free >> 20);
    if free < FREE_BYTES_SOON || percent < FREE_PERCENT_SOON {
        return Finding::warning(
            "disk",
            says,
            "make room: below 64 MiB or a tenth the store takes no more writes",
        );
    }
    Finding::fine("disk", says)
}

fn certificate(leaf: &PeerCertificate, now: Timestamp) -> Finding {
    let left = leaf.life_left(now);
    let says = format!(
        "certificate from {}, until {} ({})",
        leaf.not_before(),
        leaf.not_after(),
        left.word()
    );
    match left {
        LifeLeft::Green => Finding::fine("keys", says),
        LifeLeft::Amber | LifeLeft::Red => {
            Finding::warning("keys", says, "renew the certificate before it ends")
        }
        LifeLeft::Expired => {
            Finding::broken("keys", says, "renew the certificate: peers refuse it")
        }
    }
}

fn ending(what: &str, end: Timestamp, now: Timestamp) -> Finding {
    let says = format!("{what} until {end}");
    let left = end.since(now);
    if left.is_zero() {
        Finding::broken("list", says, "fetch a newer one from the administrators")
    } else if left < SOON {
        Finding::warning("list", says, "ask the administrators for the next one")
    } else {
        Finding::fine("list", says)
    }
}

/// What the list gives to this member itself.
fn own_rights(roster: &Roster, member: &MemberId, now: Timestamp) -> Vec<Finding> {
    let version = roster.version();
    let mut findings = vec![ending(
        &format!("member list {version}"),
        roster.expires_at(),
        now,
    )];
    let asks = |purpose| Wish {
        service: Service::Evaluate,
        purpose: Some(purpose),
        at: now,
    };
    let may = |purpose: &&Purpose| Rights::decide(roster, member, &asks(**purpose)).is_ok();
    let purposes: Vec<&str> = Purpose::ALL
        .iter()
        .filter(may)
        .map(|one| one.word())
        .collect();
    findings.push(match roster.listed(member) {
        Err(refusal) => {
            Finding::broken("rights", refusal.to_string(), refusal.next_step()).refused()
        }
        Ok(_) if purposes.is_empty() => {
            let denial = Rights::decide(roster, member, &asks(Purpose::CreditApplication));
            let rule = denial.err().map(|denial| denial.rule);
            let says = rule.as_ref().map(ToString::to_string).unwrap_or_default();
            let fix = rule.as_ref().map_or("", |rule| rule.next_step());
            Finding::broken("rights", says, fix).refused()
        }
        Ok(entry) => {
            let rights = Rights::of(entry, version);
            let level = rights.level(now);
            let says = format!("at level {level}, for {}", purposes.join(", "));
            let probation = if rights.is_on_probation(now) {
                "; on probation"
            } else {
                ""
            };
            let says = format!("{says}{probation}");
            match rights.loses_level_at() {
                Some(at) => Finding::warning(
                    "rights",
                    format!("{says}; warned that its furnishing is late, its level ends at {at}"),
                    "let the node run and furnish, then ask the administrators to take it back",
                ),
                None => Finding::fine("rights", says),
            }
        }
    });
    findings
}

/// Disputes whose clocks ran out, a line each.
async fn disputes(home: &Home) -> Result<Vec<Finding>, FlowError> {
    let late = late_disputes(home).await?;
    if late.is_empty() {
        return Ok(vec![Finding::fine("dispute", "no dispute is late")]);
    }
    let finding = |(dispute, state): &(crate::flows::Dispute, DisputeState)| {
        let id = dispute.id;
        if *state == DisputeState::Suppressed {
            let by = dispute.decide_by;
            let says = format!("dispute {id} was not decided by {by}: its record is suppressed");
            let fix = "decide it with `creditmesh records dispute resolve`";
            return Finding::warning("dispute", says, fix);
        }
        let by = dispute.acknowledge_by;
        let says = format!("dispute {id} was not acknowledged by {by}");
        let fix = "tell the borrower, then `creditmesh records dispute acknowledge`";
        Finding::warning("dispute", says, fix)
    };
    Ok(late
        .iter()
        .take(DISPUTE_FINDINGS_MAX)
        .map(finding)
        .collect())
}

/// Alerts that the webhook never took.
async fn letters(home: &Home) -> Result<Option<Finding>, FlowError> {
    let dead = dead_letters(home, 0).await?;
    let Some(last) = dead.last() else {
        return Ok(None);
    };
    let more = if dead.len() < ALERT_PAGE_MAX {
        ""
    } else {
        " or more"
    };
    let says = format!("{}{more} alerts were not taken: {}", dead.len(), last.error);
    let fix = "mend the receiver, then `creditmesh alerts dead-letter retry`";
    Ok(Some(Finding::warning("webhook", says, fix)))
}

impl Source {
    /// What is wrong here and with each peer.
    pub(super) async fn examine(&self) -> Result<Vec<Finding>, FlowError> {
        let home = &self.home;
        let now = home.clock.now();
        let own = examine_folder(&self.folder, now);
        let mut findings =
            own.map_err(|error| FlowError::NotPossible(format!("doctor: {error}")))?;
        findings.push(freshness(home, now));
        findings.push(self.key_epoch(now));
        findings.extend(disputes(home).await?);
        findings.extend(letters(home).await?);
        findings.extend(self.logs.states().iter().flat_map(log_findings));
        findings.push(self.misuse().await?);
        findings.extend(self.witnessing().await?);
        findings.extend(self.light_served().await?);
        let heard = home.trust.newest_heard();
        let version = home.trust.roster().version();
        if heard > version {
            findings.push(Finding::warning(
                "list",
                format!("a peer has member list {heard}, this node has {version}"),
                "fetch the newest members.json from the administrators",
            ));
        }
        let peers = home.asked();
        for found in join_all(peers.iter().map(|peer| self.examine_peer(peer))).await {
            findings.extend(found?);
        }
        Ok(findings)
    }

    /// Whether findings of fishing wait for a person.
    async fn misuse(&self) -> Result<Finding, FlowError> {
        let kept = self.fishing.list().await?;
        let open = kept.iter().filter(|one| one.acknowledged.is_none());
        let codes: BTreeSet<&str> = open.clone().map(|one| one.code.word()).collect();
        if codes.is_empty() {
            let says = "no query looks like fishing, by the last judgement";
            return Ok(Finding::fine("misuse", says));
        }
        let codes: Vec<&str> = codes.into_iter().collect();
        let says = format!(
            "{} findings wait for a person: {}",
            open.count(),
            codes.join(", ")
        );
        let fix = "see `creditmesh audit findings`, look into each, and acknowledge it there";
        Ok(Finding::warning("misuse", says, fix))
    }

    fn key_epoch(&self, now: Timestamp) -> Finding {
        let calendar = &self.home.calendar;
        let epoch = calendar.current(now);
        let days = now.since(calendar.begins_at(epoch)).as_secs() / 86_400;
        let end = calendar.begins_at(epoch.next());
        Finding::fine(
            "keys",
            format!("key epoch {epoch} for {days} days, until {end}"),
        )
    }

    async fn examine_peer(&self, peer: &Member) -> Result<Vec<Finding>, FlowError> {
        let home = &self.home;
        let mut findings = Vec::new();
        let before = home.clock.now();
        match home.peers.describe(peer, PATIENCE).await {
            Ok(description) => {
                findings.extend(answered(&description, before, home.clock.now()));
                let version = u64::from(home.trust.roster().version());
                findings.extend(list_of(&description, version));
            }
            Err(error) => findings.push(self.silence(peer, &error).await),
        }
        if home.trust.connections().by_opener(&peer.id).0 == 0 {
            findings.push(Finding::warning(
                "reach",
                "it holds no connection to this node",
                "check that the endpoint in the member list leads here, through every firewall",
            ));
        }
        findings.extend(self.looked_up_in(peer, home.clock.now()).await?);
        findings.extend(self.feed_faults(peer, home.clock.now()).await?);
        findings.push(self.reveals(peer));
        Ok(findings
            .into_iter()
            .map(|finding| {
                let concern = finding.concern;
                let finding = finding.with(&peer.id);
                match concern {
                    crate::service::Concern::Refusal => finding.refused(),
                    crate::service::Concern::Local | crate::service::Concern::Peers => finding,
                }
            })
            .collect())
    }

    /// Why a peer did not say what it is; one that refuses is asked to explain.
    async fn silence(&self, peer: &Member, error: &AskError) -> Finding {
        let AskError::Call(CallError::Status { status, .. }) = error else {
            let fix = "follow the reason; the peer's operator may have to";
            return Finding::broken("reach", error.to_string(), fix);
        };
        match self.home.peers.explain(peer, PATIENCE).await {
            Ok(verdict) if !verdict.is_admitted() => {
                let says = format!(
                    "it refuses this node: {} ({}, by its member list {})",
                    verdict.reason, verdict.code, verdict.list_version
                );
                Finding::broken("rights", says, verdict.next_step).refused()
            }
            _ => Finding::broken(
                "reach",
                status.message(),
                "look into the peer's log with it",
            ),
        }
    }

    /// What was found wrong with a peer's feeds lately.
    async fn feed_faults(&self, peer: &Member, now: Timestamp) -> Result<Vec<Finding>, FlowError> {
        let mut findings = Vec::new();
        for epoch in self.home.calendar.served(now) {
            let mirror = self.mirrors.of(&peer.id, self.home.level(), epoch)?;
            let faults = mirror.faults().await?.into_iter();
            let lately = faults.filter(|one| now.since(one.last_at) < MIRROR_FAULT_SHOWN);
            findings.extend(lately.map(|one| {
                let (name, first, last, size) =
                    (one.name.word(), one.first_at, one.last_at, one.size);
                let says = format!(
                    "{name} in its feed of epoch {epoch}, behind {size} leaves: first at {first}, \
                     last at {last}"
                );
                Finding::warning("feed", says, FEED_FAULT_FIX)
            }));
        }
        Ok(findings)
    }

    pub(super) async fn mirror(&self, peer: &Member, now: Timestamp) -> Result<Finding, FlowError> {
        let home = &self.home;
        if self.mirrors.forks().is_forked(peer).await? {
            return Ok(Finding::warning(
                "mirror",
                "it is proven to have signed two histories of a feed, so it counts as silent",
                "show the proof of `audit forks --out FOLDER` to the administrators",
            ));
        }
        let mut newest = None;
        for epoch in home.calendar.served(now) {
            let reach = self
                .mirrors
                .of(&peer.id, home.level(), epoch)?
                .reach()
                .await?;
            newest = newest.max(reach.checkpoint_at.map(|at| (at, reach.size)));
        }
        let Some((at, size)) = newest else {
            return Ok(Finding::warning(
                "mirror",
                "nothing of its feed is mirrored, so it counts as silent",
                "it follows once the peer is reached and admits this node",
            ));
        };
        let says = format!("{size} leaves, checkpoint of {at}");
        Ok(if now.since(at) > FURNISHING_LATE_AFTER {
            Finding::warning(
                "mirror",
                format!("its furnishing is late: {says}"),
                "tell the administrators, who may warn it with `network rights --warn-late`",
            )
        } else {
            Finding::fine("mirror", says)
        })
    }
}

/// What to do about a fault in a peer's feed.
const FEED_FAULT_FIX: &str = "nothing of it was taken; ask the peer's operator, and tell the \
                              administrators where it comes again";

/// What is wrong with a membership log.
fn log_findings(log: &LogState) -> Vec<Finding> {
    if log.findings.is_empty() {
        let says = format!("{} entries of {} read and checked", log.size, log.origin);
        return vec![Finding::fine("log", says)];
    }
    let fix = "show `creditmesh node log` and this node's folder `log` to the administrators; once \
               it is settled, remove findings.json there";
    let found = log.findings.iter();
    found
        .map(|one| Finding::broken("log", one.says.clone(), fix).refused())
        .collect()
}

fn freshness(home: &Home, now: Timestamp) -> Finding {
    if let Err(refusal) = home.trust.require_fresh(now) {
        return Finding::broken("freshness", refusal.to_string(), refusal.next_step());
    }
    match home.trust.freshness() {
        Some(stated) => Finding::fine("freshness", format!("until {}", stated.expires_at())),
        None => Finding::fine("freshness", "this network works by files and asks for none"),
    }
}

fn answered(description: &Description, before: Timestamp, after: Timestamp) -> Vec<Finding> {
    let says = format!(
        "it answers; {} elements of this epoch's quota are left",
        description.quota_left
    );
    let quota = if description.quota_left == 0 {
        let fix = "wait for the next key epoch, or ask the administrators for a larger quota";
        Finding::warning("quota", says, fix)
    } else {
        Finding::fine("quota", says)
    };
    let middle = before.plus(after.since(before) / 2);
    let skew = description
        .now
        .since(middle)
        .max(middle.since(description.now));
    let says = format!("its clock differs by {} ms", skew.as_millis());
    let fix = "compare both clocks with a time server";
    let clock = if skew > CLOCK_SKEW_MAX {
        Finding::broken("clock", says, fix)
    } else if skew > SKEW_WARNING {
        Finding::warning("clock", says, fix)
    } else {
        Finding::fine("clock", says)
    };
    vec![quota, clock]
}

fn list_of(description: &Description, version: u64) -> Option<Finding> {
    let theirs = description.list_version;
    let says = format!("it has member list {theirs}, this node has {version}");
    let fix = match theirs.cmp(&version) {
        std::cmp::Ordering::Equal => return Some(Finding::fine("list", says)),
        std::cmp::Ordering::Less => "its operator must install the newest member list",
        std::cmp::Ordering::Greater => "fetch the newest member list",
    };
    Some(Finding::warning("list", says, fix))
}
