//! The administrators' act: on a small network of its own, with a registrar and by the real clock,
//! a lender joins by invitation, and another is removed while it streams and asks.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::{join_all, try_join_all};
use serde::Serialize;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::DemoError;
use crate::config::{RegistrarConfig, StoreConfig, UnlockSource};
use crate::crypto::KdfCost;
use crate::domain::{Currency, Level, MemberId, Purpose, Role};
use crate::membership::{InvitationToken, MemberState, Terms};
use crate::node::{
    AdminFolder, Administration, Enrolling, Folder, Found, MemberWish, NodeParts, RunningNode,
    RunningRegistrar,
};
use crate::workload::network::free_address;

/// How long a step of the act may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long everybody calls before the removal.
const WARM_UP: Duration = Duration::from_millis(300);

/// How often the act looks whether something has come to be.
const LOOK: Duration = Duration::from_millis(5);

/// Who is there at first; the last one is removed.
const FOUNDERS: [&str; 4] = ["anchor", "brook", "cedar", "drift"];

/// Who joins.
const JOINER: &str = "ember";

/// What came of the act.
#[derive(Debug, Clone, Serialize)]
pub struct MembershipFigures {
    /// From the joiner's command to the first answer of its last peer, milliseconds; the
    /// administrators' signatures included.
    pub joined_ms: f64,
    /// How each remaining node took the removal.
    pub removal: Vec<RemovalAt>,
    /// Calls of the remaining members among each other while the list changed.
    pub calls_of_others: u64,
    /// How many of them failed.
    pub calls_of_others_failed: u64,
}

/// How one node took the removal of a member.
#[derive(Debug, Clone, Serialize)]
pub struct RemovalAt {
    /// Whose node.
    pub node: String,
    /// From the publication of the list to the acknowledgement, milliseconds.
    pub acknowledged_ms: u64,
    /// Connections with the removed member that were cut, open streams with them.
    pub connections_cut: u32,
    /// From the administrators' signature to the first call that the node refused, milliseconds.
    pub refused_ms: f64,
}

/// Plays the act in an empty folder, which is removed afterwards.
///
/// # Errors
/// [`DemoError`].
pub(super) async fn play(folder: &Path, parts: NodeParts) -> Result<MembershipFigures, DemoError> {
    let town = Town::found(folder, parts).await?;
    let mut nodes = Vec::new();
    for name in FOUNDERS {
        Box::pin(town.join(name)).await?;
        nodes.push(town.start(name).await?);
    }
    all_answer(&nodes).await?;
    let began = Instant::now();
    Box::pin(town.join(JOINER)).await?;
    nodes.push(town.start(JOINER).await?);
    all_answer(&nodes).await?;
    let joined_ms = ms(began.elapsed());
    let leaver = nodes.remove(FOUNDERS.len() - 1);
    let (removal, calls, failed) = town.remove(&leaver, &nodes).await?;
    nodes.push(leaver);
    for node in nodes {
        // Calls that were under way have ended; a node that is still held ends with its last user.
        if let Some(node) = Arc::into_inner(node.running) {
            node.shutdown().await?;
        }
    }
    town.end().await?;
    Ok(MembershipFigures {
        joined_ms,
        removal,
        calls_of_others: calls,
        calls_of_others_failed: failed,
    })
}

/// The act as a story.
pub(super) fn tell(figures: &MembershipFigures) -> Vec<String> {
    let mut lines = vec![
        "The administrators' act, on a network with a registrar".to_owned(),
        format!(
            "  {JOINER} joins by invitation: one command, signed by both administrators, and every \
             peer answers after {:.1} s",
            figures.joined_ms / 1_000.0
        ),
        format!(
            "  {} is removed while it streams and asks",
            FOUNDERS.last().copied().unwrap_or_default()
        ),
    ];
    lines.extend(figures.removal.iter().map(|at| {
        format!(
            "    {:<8} refuses it after {:>4.0} ms, {} connections cut",
            at.node, at.refused_ms, at.connections_cut
        )
    }));
    lines.push(format!(
        "  the others meanwhile make {} calls, {} fail",
        figures.calls_of_others, figures.calls_of_others_failed
    ));
    lines
}

fn ms(span: Duration) -> f64 {
    span.as_secs_f64() * 1_000.0
}

fn named(name: &str) -> Result<MemberId, DemoError> {
    name.parse()
        .map_err(|error| DemoError::Spec(format!("{name}: {error}")))
}

/// A member whose node runs.
#[derive(Debug, Clone)]
struct Neighbour {
    member: MemberId,
    running: Arc<RunningNode>,
}

impl Neighbour {
    /// Whether `peer` answers an empty call.
    async fn hears(&self, peer: &MemberId) -> bool {
        let home = &self.running.core().home;
        let roster = home.trust.roster();
        let Some(peer) = roster.member(peer) else {
            return false;
        };
        home.peers.describe(peer, PATIENCE).await.is_ok()
    }

    /// Asks `peer` again and again until `goes_on` is false or, where `until_refused`, until it is
    /// refused; gives how many calls there were, how many failed, and when the first did.
    fn ask_on(&self, peer: &MemberId, goes_on: &Arc<AtomicBool>, until_refused: bool) -> Asking {
        let (own, peer, goes_on) = (self.clone(), peer.clone(), Arc::clone(goes_on));
        tokio::spawn(async move {
            let mut asked = Asked::default();
            while goes_on.load(Ordering::Relaxed) {
                asked.calls += 1;
                if !own.hears(&peer).await {
                    asked.failed += 1;
                    asked.first_failed.get_or_insert_with(Instant::now);
                    if until_refused {
                        break;
                    }
                }
            }
            asked
        })
    }
}

type Asking = JoinHandle<Asked>;

#[derive(Debug, Default)]
struct Asked {
    calls: u64,
    failed: u64,
    first_failed: Option<Instant>,
}

/// Waits until every node is answered by every other.
async fn all_answer(nodes: &[Neighbour]) -> Result<(), DemoError> {
    let waits = nodes.iter().flat_map(|own| {
        let peers = nodes.iter().filter(|peer| peer.member != own.member);
        peers.map(move |peer| async move {
            while !own.hears(&peer.member).await {
                sleep(LOOK).await;
            }
        })
    });
    let late = || DemoError::Spec("the nodes did not answer each other in time".to_owned());
    let answered = tokio::time::timeout(PATIENCE, join_all(waits)).await;
    answered.map(|_| ()).map_err(|_| late())
}

/// The network of the act.
struct Town {
    folder: PathBuf,
    parts: NodeParts,
    registrar: RunningRegistrar,
}

impl Town {
    async fn found(folder: &Path, parts: NodeParts) -> Result<Self, DemoError> {
        let address = free_address()?;
        let found = Found {
            network: "harbour-net"
                .parse()
                .map_err(|error| DemoError::Spec(format!("network: {error}")))?,
            currency: Currency::USD,
            population: 1_000_000,
            administrators: vec!["chair".to_owned(), "secretary".to_owned()],
            threshold: 2,
            cost: KdfCost::FLOOR,
            registrar: Some(RegistrarConfig {
                addresses: vec![address.to_string()],
                listen: address,
                follows: Vec::new(),
            }),
            other_registrars: Vec::new(),
        };
        let (admin, now) = (folder.join("admin"), parts.clock.now());
        AdminFolder::found(&admin, &found, &passphrase(), now, &*parts.entropy)?;
        let registrar = RunningRegistrar::start(&admin, &passphrase(), parts.clone()).await?;
        Ok(Self {
            folder: folder.to_owned(),
            parts,
            registrar,
        })
    }

    async fn administration(&self) -> Result<Administration, DemoError> {
        let (admin, clock) = (self.folder.join("admin"), Arc::clone(&self.parts.clock));
        let now = clock.now();
        let folder = AdminFolder::open(&admin, &passphrase(), now, &*self.parts.entropy)?;
        Ok(Administration::open(&admin, folder.signing_keys(), clock).await?)
    }

    /// Invites a member, runs its one command, and signs for both administrators.
    async fn join(&self, name: &str) -> Result<(), DemoError> {
        let mut administration = self.administration().await?;
        let terms = Terms {
            member: named(name)?,
            role: Role::Lender,
            lender_group: name
                .parse()
                .map_err(|error| DemoError::Spec(format!("{name}: {error}")))?,
            level: Level::Full,
            weight: 1,
            quota_elements_per_epoch: 1_000_000,
            purposes: Purpose::ALL.to_vec(),
        };
        let token = administration.invite(terms, &*self.parts.entropy).await?;
        let token = InvitationToken::parse(&token)
            .map_err(|error| DemoError::Spec(format!("token: {error}")))?;
        let listen = free_address()?;
        let enrolling = Enrolling {
            token,
            listen,
            endpoints: vec![listen.to_string()],
            unlock: UnlockSource::KeyFile("unlock.key".into()),
            store: StoreConfig::Sled,
            cost: KdfCost::FLOOR,
        };
        let folder = Folder::at(&self.folder.join(name));
        let (clock, entropy) = (Arc::clone(&self.parts.clock), &*self.parts.entropy);
        let enrolled = Box::pin(folder.enrol(enrolling, clock, entropy, |_| {}));
        let signed = async {
            let wish = MemberWish::Approve(named(name)?);
            // There is nothing to sign before the request has come.
            let proposal = loop {
                if let Ok(proposal) = administration.propose(&wish).await {
                    break proposal;
                }
                sleep(LOOK).await;
            };
            administration.put(proposal).await?;
            Ok::<(), DemoError>(())
        };
        let late = || DemoError::Spec(format!("{name} did not join in time"));
        let both = async { tokio::try_join!(async { Ok(enrolled.await?) }, signed) };
        tokio::time::timeout(PATIENCE, both)
            .await
            .map_err(|_| late())?
            .map(|_| ())
    }

    async fn start(&self, name: &str) -> Result<Neighbour, DemoError> {
        let folder = Folder::at(&self.folder.join(name));
        let running = RunningNode::start(&folder, self.parts.clone()).await?;
        Ok(Neighbour {
            member: named(name)?,
            running: Arc::new(running),
        })
    }

    /// Removes a member that asks every other without a pause and holds a stream open at each,
    /// while the others ask each other.
    async fn remove(
        &self,
        leaver: &Neighbour,
        others: &[Neighbour],
    ) -> Result<(Vec<RemovalAt>, u64, u64), DemoError> {
        let mut administration = self.administration().await?;
        let goes_on = Arc::new(AtomicBool::new(true));
        let peers = others.iter().cycle().skip(1);
        let among: Vec<Asking> = others
            .iter()
            .zip(peers)
            .map(|(own, peer)| own.ask_on(&peer.member, &goes_on, false))
            .collect();
        let refused: Vec<Asking> = others
            .iter()
            .map(|peer| leaver.ask_on(&peer.member, &goes_on, true))
            .collect();
        sleep(WARM_UP).await;
        let wish = MemberWish::State(leaver.member.clone(), MemberState::Removed);
        let proposal = administration.propose(&wish).await?;
        let version = proposal.version();
        let signed = Instant::now();
        administration.put(proposal).await?;
        let standings = administration.acknowledged(version).await?;
        let broken = |_| DemoError::Spec("a task of the act was broken off".to_owned());
        let late = |_| DemoError::Spec("the removed member was not refused in time".to_owned());
        let refused = tokio::time::timeout(PATIENCE, try_join_all(refused)).await;
        let refused = refused.map_err(late)?.map_err(broken)?;
        goes_on.store(false, Ordering::Relaxed);
        let among = try_join_all(among).await.map_err(broken)?;
        let removal = others.iter().zip(&refused).map(|(node, refused)| {
            let standing = standings.iter().find(|one| one.member == node.member);
            let after = refused.first_failed.map(|at| at.duration_since(signed));
            RemovalAt {
                node: node.member.to_string(),
                acknowledged_ms: standing.map_or(0, |one| one.took_ms),
                connections_cut: standing.map_or(0, |one| one.cut),
                refused_ms: after.map_or(0.0, ms),
            }
        });
        let calls = among.iter().map(|asked| asked.calls).sum();
        let failed = among.iter().map(|asked| asked.failed).sum();
        Ok((removal.collect(), calls, failed))
    }

    async fn end(self) -> Result<(), DemoError> {
        self.registrar.shutdown().await;
        Ok(tokio::fs::remove_dir_all(&self.folder).await?)
    }
}

fn passphrase() -> UnlockSource {
    UnlockSource::PassphraseFile("passphrase".into())
}
