//! Every registrar of a network at once: what one administrator's command asks, and publishes.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::AdminError;
use super::root_files::{newest_root, take_walked};
use crate::domain::{MemberId, Timestamp};
use crate::env::Clock;
use crate::membership::{JoinRequest, MemberList, NetworkRoot, RootDocument, Signed};
use crate::net::{RegistrarClient, RegistrarError, fetch_roots};
use crate::wire::{DeskView, RootCount, Standing, Tally};

/// A registrar that did not take part in a command, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreached {
    /// `host:port`.
    pub endpoint: String,
    /// Why.
    pub reason: String,
}

/// Connections to those that answer.
#[derive(Debug)]
pub(super) struct Registrars {
    reached: Vec<RegistrarClient>,
    unreached: Vec<Unreached>,
    /// The root in force, the newest that any of them has.
    pub(super) root: NetworkRoot,
    /// The roots before it, the newest first.
    pub(super) former: Vec<NetworkRoot>,
}

impl Registrars {
    /// Connects to each of `addresses`, and walks to the newest root that one of them has.
    pub(super) async fn connect(
        folder: &Path,
        addresses: &[String],
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, AdminError> {
        let mut root = newest_root(folder, clock.now())?;
        let (mut answering, mut unreached, mut texts) = (Vec::new(), Vec::new(), Vec::new());
        let mut last = None;
        for endpoint in addresses {
            match fetch_roots(endpoint, root.network(), 0, clock).await {
                Ok(sent) => {
                    root = take_walked(folder, root, &sent, clock.now())?;
                    texts.push(sent);
                    answering.push(endpoint);
                }
                Err(error) => {
                    unreached.push(unreached_by(&error, endpoint));
                    last = Some(error);
                }
            }
        }
        let mut reached = Vec::new();
        for endpoint in answering {
            match RegistrarClient::connect(endpoint, &root, clock).await {
                Ok(client) => reached.push(client),
                Err(error) => {
                    unreached.push(unreached_by(&error, endpoint));
                    last = Some(error);
                }
            }
        }
        if reached.is_empty() {
            return Err(last.map_or(AdminError::NoKey, AdminError::Registrar));
        }
        let former = former_of(&root, texts.iter().flatten(), clock.now());
        Ok(Self {
            reached,
            unreached,
            root,
            former,
        })
    }

    pub(super) fn unreached(&self) -> &[Unreached] {
        &self.unreached
    }

    /// The first that answers: an invitation lives where it was deposited.
    pub(super) fn first(&mut self) -> Result<&mut RegistrarClient, AdminError> {
        self.reached.first_mut().ok_or(AdminError::NoKey)
    }

    fn note_unreached(&mut self, error: &RegistrarError, endpoint: &str) {
        if !self.unreached.iter().any(|one| one.endpoint == endpoint) {
            self.unreached.push(unreached_by(error, endpoint));
        }
    }

    /// Asks all of them; one that fails is noted, and not asked again where it does not answer.
    /// Fails only where all do.
    async fn each<T>(
        &mut self,
        mut ask: impl AsyncFnMut(&mut RegistrarClient) -> Result<T, RegistrarError>,
    ) -> Result<Vec<T>, AdminError> {
        let (mut answers, mut kept, mut last) = (Vec::new(), Vec::new(), None);
        for mut client in std::mem::take(&mut self.reached) {
            match ask(&mut client).await {
                Ok(answer) => {
                    answers.push(answer);
                    kept.push(client);
                }
                Err(error) => {
                    let endpoint = client.endpoint().to_owned();
                    self.note_unreached(&error, &endpoint);
                    if !error.is_passing() {
                        kept.push(client);
                    }
                    last = Some(error);
                }
            }
        }
        self.reached = kept;
        match (answers.is_empty(), last) {
            (true, Some(error)) => Err(error.into()),
            (true, None) => Err(AdminError::NoKey),
            (false, _) => Ok(answers),
        }
    }

    /// What lies on all desks together, and the sentences about what does not fit together.
    pub(super) async fn desk(&mut self, request: &str) -> Result<DeskView, AdminError> {
        let views = self
            .each(async |client: &mut RegistrarClient| client.desk(request).await)
            .await?;
        merged(views)
    }

    /// Puts a list everywhere: once one registrar has enough signatures, the others get them all.
    pub(super) async fn put_list(&mut self, list: &str, desk: &str) -> Result<Tally, AdminError> {
        let tallies = self
            .each(async |client: &mut RegistrarClient| client.put_list(list).await)
            .await?;
        let best = tallies.iter().max_by_key(|tally| tally.published).copied();
        let best = best.ok_or(AdminError::NoKey)?;
        if best.published && tallies.iter().any(|tally| !tally.published) {
            let whole = self.desk(desk).await?.list;
            self.each(async |client: &mut RegistrarClient| client.put_list(&whole).await)
                .await?;
        }
        Ok(best)
    }

    /// Puts a root everywhere, as [`Self::put_list`] does a list.
    pub(super) async fn put_root(
        &mut self,
        text: &str,
        version: u32,
    ) -> Result<RootCount, AdminError> {
        let counts = self
            .each(async |client: &mut RegistrarClient| client.put_root(text).await)
            .await?;
        let best = counts.iter().max_by_key(|count| count.published).copied();
        let best = best.ok_or(AdminError::NoKey)?;
        if best.published && counts.iter().any(|count| !count.published) {
            let mut whole = Vec::new();
            let ask = async |client: &mut RegistrarClient| client.roots(version).await;
            for roots in self.each(ask).await? {
                whole.extend(roots.first().cloned());
            }
            if let Some(whole) = whole.first() {
                self.each(async |client: &mut RegistrarClient| client.put_root(whole).await)
                    .await?;
            }
        }
        Ok(best)
    }

    /// Hands issuing authorities' certificates to every registrar; gives how many were taken.
    pub(super) async fn put_issuing(
        &mut self,
        desk: &str,
        certificates: &[String],
    ) -> Result<Vec<(String, u32)>, AdminError> {
        self.each(async |client: &mut RegistrarClient| {
            let taken = client.put_issuing(desk, certificates).await?;
            Ok((client.endpoint().to_owned(), taken))
        })
        .await
    }

    /// The root documents from `version` on.
    pub(super) async fn roots(&mut self, version: u32) -> Result<Vec<String>, AdminError> {
        let ask = async |client: &mut RegistrarClient| client.roots(version).await;
        let answers = self.each(ask).await?;
        Ok(answers.into_iter().max_by_key(Vec::len).unwrap_or_default())
    }
}

fn unreached_by(error: &RegistrarError, endpoint: &str) -> Unreached {
    Unreached {
        endpoint: endpoint.to_owned(),
        reason: error.to_string(),
    }
}

/// The roots that led to `root`, each proven by the digest that its successor names.
fn former_of<'a>(
    root: &NetworkRoot,
    texts: impl Iterator<Item = &'a String>,
    now: Timestamp,
) -> Vec<NetworkRoot> {
    let parsed = texts.filter_map(|text| NetworkRoot::verify_kept(text, now).ok());
    let by_digest: BTreeMap<_, _> = parsed.map(|one| (*one.fingerprint(), one)).collect();
    let mut former: Vec<NetworkRoot> = Vec::new();
    let previous = |document: &RootDocument| document.previous;
    let mut wanted = previous(root.document());
    while let Some(found) = wanted.and_then(|digest| by_digest.get(&digest)) {
        wanted = previous(found.document());
        former.push(found.clone());
    }
    former
}

/// One desk of several: the newest list, and what waits at whichever has that list.
fn merged(views: Vec<DeskView>) -> Result<DeskView, AdminError> {
    let mut read = Vec::new();
    for view in views {
        let list = Signed::<MemberList>::parse(&view.list)?;
        read.push((list.document().version, list.digest()?, view));
    }
    let newest = read.iter().map(|(version, ..)| *version).max();
    let mut digests = read.iter().filter(|(version, ..)| Some(*version) == newest);
    let first = digests.next().map(|(_, digest, _)| *digest);
    if digests.any(|(_, digest, _)| Some(*digest) != first) {
        return Err(AdminError::Nothing(format!(
            "two registrars have different lists with version {}: each refuses the other's. Find \
             out who signed both; then remove members.json of the wrong one while it is stopped, \
             copy the right one there, and start it",
            newest.unwrap_or_default()
        )));
    }
    let mut whole = DeskView::default();
    let mut standings: BTreeMap<MemberId, Standing> = BTreeMap::new();
    let mut requests = BTreeMap::new();
    for (version, _, view) in read {
        for node in view.nodes {
            let held = standings.remove(&node.member);
            let best = held.map_or(node.clone(), |held| later(held, node));
            standings.insert(best.member.clone(), best);
        }
        for text in view.requests {
            let request = Signed::<JoinRequest>::parse(&text)?;
            let invitation = request.document().invitation.document();
            requests.insert(invitation.invitation_id, text);
        }
        add_missing(&mut whole.changes, view.changes);
        add_missing(&mut whole.root_proposals, view.root_proposals);
        add_missing(&mut whole.departures, view.departures);
        if Some(version) == newest {
            whole.list = view.list;
            add_missing(&mut whole.proposals, view.proposals);
        }
    }
    whole.requests = requests.into_values().collect();
    whole.nodes = standings.into_values().collect();
    Ok(whole)
}

fn add_missing(whole: &mut Vec<String>, more: Vec<String>) {
    for text in more {
        if !whole.contains(&text) {
            whole.push(text);
        }
    }
}

/// What a node said last, of what it said to two registrars.
fn later(one: Standing, other: Standing) -> Standing {
    let rank = |node: &Standing| {
        (
            node.follows,
            node.root_version,
            node.list_version,
            node.certificate_not_after,
        )
    };
    if rank(&other) > rank(&one) {
        other
    } else {
        one
    }
}
