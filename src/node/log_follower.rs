//! Reading the registrars' membership logs: new entries are fetched and checked, this node's own
//! OPRF keys are filed, and checkpoints are compared with those that peers saw.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::core::Core;
use super::log_book::{LogBook, Wanted};
use super::log_kept::{Judge, Signed, Stated};
use super::own_tls_keys::OwnTlsKeys;
use super::{Folder, LogFinding, NodeError};
use crate::config::NodeConfig;
use crate::flows::{Home, OwnKeys, PeerKeys};
use crate::limits::{PULL_INTERVAL, REGISTRAR_BACKOFF_MAX, RELAYS_ASKED_MAX};
use crate::net::{NodeTls, RegistrarClient, relayed_trust};

/// Checkpoints that wait to be looked at.
const TOLD_MAX: usize = 8;

/// What reads the logs of one node's registrars. Clones share all of it.
#[derive(Debug, Clone)]
pub(super) struct LogFollower {
    pub(super) book: LogBook,
    pub(super) tls: NodeTls,
    pub(super) home: Arc<Home>,
    pub(super) keys: Arc<OwnKeys>,
    pub(super) peer_keys: Arc<PeerKeys>,
    pub(super) registrars: Vec<String>,
    /// How many peers were asked so far: others are asked the next time.
    pub(super) asked: Arc<AtomicUsize>,
    /// One reading at a time.
    pub(super) turn: Arc<tokio::sync::Mutex<()>>,
    pub(super) nudge: Arc<Notify>,
    told: Arc<Mutex<Told>>,
}

/// Checkpoints that came with trust documents and were not looked at yet.
#[derive(Debug, Default)]
struct Told {
    last: Option<String>,
    waiting: Vec<(String, String)>,
}

impl LogFollower {
    /// Opens what the node keeps of its registrars' logs.
    ///
    /// # Errors
    /// [`NodeError`] where a file of a log cannot be read.
    pub(super) fn open(
        folder: &Folder,
        config: &NodeConfig,
        core: &Core,
        tls: &NodeTls,
    ) -> Result<Self, NodeError> {
        let own_keys = OwnTlsKeys::in_folder(folder.path());
        own_keys.begin_late(tls.certificate().spki_sha256())?;
        let root = core.home.trust.root();
        let book = if config.registrar.is_empty() {
            LogBook::empty(folder.path(), &root, own_keys)
        } else {
            LogBook::open(folder.path(), &root, own_keys)?
        };
        core.home.trust.tell_log_checkpoints(book.checkpoints());
        Ok(Self {
            book,
            tls: tls.clone(),
            home: Arc::clone(&core.home),
            keys: Arc::clone(&core.keys),
            peer_keys: Arc::clone(&core.peer_keys),
            registrars: config.registrar.clone(),
            asked: Arc::default(),
            turn: Arc::default(),
            told: Arc::default(),
            nudge: Arc::default(),
        })
    }

    /// Reads and compares now; gives what was ever found wrong.
    ///
    /// # Errors
    /// [`NodeError`] where a registrar cannot be read.
    pub(super) async fn look(&self) -> Result<Vec<LogFinding>, NodeError> {
        self.ask_peers().await;
        self.read().await?;
        let states = self.book.states().into_iter();
        Ok(states.flat_map(|state| state.findings).collect())
    }

    /// Takes a checkpoint that came with trust documents, and reads on where it is a newer one.
    /// Never waits: the caller has lists to acknowledge.
    pub(super) fn told(&self, note: String, endpoint: &str) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.last.as_ref() == Some(&note) {
            return;
        }
        if told.waiting.len() < TOLD_MAX {
            told.waiting.push((note.clone(), endpoint.to_owned()));
        }
        told.last = Some(note);
        self.nudge.notify_one();
    }

    async fn hear_told(&self) {
        let told = {
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut told.waiting)
        };
        for (note, endpoint) in told {
            self.heard(&note, &endpoint).await;
        }
    }

    /// Reads until `stop`: every minute, and whenever there may be news.
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut versions = self.home.trust.versions();
        loop {
            self.hear_told().await;
            let pause = match self.read().await {
                Ok(()) => PULL_INTERVAL,
                Err(error) => {
                    tracing::warn!(%error, "cannot read the membership log; tried again");
                    REGISTRAR_BACKOFF_MAX
                }
            };
            self.ask_peers().await;
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(pause) => {}
                () = self.nudge.notified() => {}
                _ = versions.changed() => {}
            }
        }
    }

    fn judge(&self) -> Judge {
        Judge {
            member: self.home.member.clone(),
            roster: self.home.trust.roster(),
            now: self.home.clock.now(),
        }
    }

    /// Takes a checkpoint that came with trust documents or from a peer.
    pub(super) async fn heard(&self, note: &str, from: &str) {
        let Some(signed) = Signed::open(&self.home.trust.root(), note) else {
            tracing::info!(
                from,
                "a membership log's checkpoint is of no known registrar key"
            );
            return;
        };
        let (book, from, now) = (self.book.clone(), from.to_owned(), self.home.clock.now());
        let heard = waiting(move || book.heard(signed, &from, now)).await;
        if let Err(error) = heard {
            tracing::error!(%error, "cannot compare a membership log's checkpoint");
        }
    }

    /// Reads every registrar's log to its end, and files what is missing in it.
    ///
    /// # Errors
    /// The first failure; the other registrars are read all the same.
    pub(super) async fn read(&self) -> Result<(), NodeError> {
        let _turn = self.turn.lock().await;
        self.book.begin_reading();
        let mut first = Ok(());
        for endpoint in &self.registrars {
            if let Err(error) = self.read_one(endpoint).await {
                first = first.and(Err(error));
            }
        }
        self.home
            .trust
            .tell_log_checkpoints(self.book.checkpoints());
        first
    }

    async fn read_one(&self, endpoint: &str) -> Result<(), NodeError> {
        let mut client = RegistrarClient::connect_as(endpoint, &self.tls).await?;
        let Some(key) = self.fetch(&mut client).await? else {
            return Ok(());
        };
        if self.file_statements(&mut client, &key).await? {
            self.fetch(&mut client).await?;
        }
        let (book, judge) = (self.book.clone(), self.judge());
        let stated = waiting(move || book.settle(&key, &judge)).await?;
        for one in stated {
            self.compare_key(&key, one).await?;
        }
        Ok(())
    }

    /// Fetches all entries up to the registrar's newest checkpoint; gives the key that signed it.
    async fn fetch(&self, client: &mut RegistrarClient) -> Result<Option<[u8; 32]>, NodeError> {
        let offered = client.read_log("", 0, 0).await?.checkpoint;
        if offered.is_empty() {
            return Ok(None);
        }
        let opened = Signed::open(&self.home.trust.root(), &offered);
        let (signed, key) = opened.ok_or_else(|| {
            NodeError::Folder(
                "the registrar's membership log is signed by a key that the network root in force \
                 does not name: fetch the newest root"
                    .to_owned(),
            )
        })?;
        let (book, now, held) = (self.book.clone(), self.home.clock.now(), signed.clone());
        let wanted = waiting(move || book.offered(&held, &key, now)).await?;
        let Wanted::From(mut from) = wanted else {
            return Ok(Some(key));
        };
        loop {
            let (origin, until) = (signed.checkpoint.origin(), signed.checkpoint.size());
            let page = client.read_log(origin, from, until).await?;
            let is_empty = page.entries.is_empty();
            let (book, target, judge) = (self.book.clone(), signed.clone(), self.judge());
            let done = waiting(move || book.take(&key, &page.entries, &target, &judge)).await?;
            if done {
                return Ok(Some(key));
            }
            if is_empty {
                return Err(NodeError::Folder(
                    "the registrar gives fewer entries of its membership log than it signed for"
                        .to_owned(),
                ));
            }
            from = self.book.size(&key)?;
        }
    }

    /// Files the keys of the epochs that are near and not in the log; whether there were any.
    async fn file_statements(
        &self,
        client: &mut RegistrarClient,
        key: &[u8; 32],
    ) -> Result<bool, NodeError> {
        let (home, mut filed) = (&self.home, false);
        let now = home.clock.now();
        let epochs = home.calendar.served(now).into_iter();
        for epoch in epochs.chain(home.calendar.to_announce(now)) {
            if home.unfenced(epoch).is_err() {
                continue;
            }
            for level in home.levels_served() {
                let stated = self.keys.key(level, epoch).await?.stated.clone();
                if !self.book.holds(key, &stated.terms)? {
                    client.file_statement(stated).await?;
                    filed = true;
                }
            }
        }
        Ok(filed)
    }

    /// Compares a key in the log with the one that its member uses.
    async fn compare_key(&self, key: &[u8; 32], stated: Stated) -> Result<(), NodeError> {
        let Stated { index, terms } = stated;
        let used = if terms.member == self.home.member {
            self.keys.made(terms.level, terms.epoch).await?
        } else {
            let pinned = self
                .peer_keys
                .pinned(&terms.member, terms.level, terms.epoch)
                .await?;
            pinned.map(|key| key.to_bytes())
        };
        let is_own = terms.member == self.home.member;
        if used == Some(terms.public_key) || (used.is_none() && !is_own) {
            return Ok(());
        }
        let (kind, says) = if is_own {
            let says = format!(
                "an OPRF key of this member for level {} and epoch {} is logged that this node \
                 does not have: it was restored from an older backup, or somebody has the identity \
                 key",
                terms.level, terms.epoch
            );
            ("own-oprf-key", says)
        } else {
            let says = format!(
                "{} logged another OPRF key for level {} and epoch {} than it told this node; tell \
                 the administrators",
                terms.member, terms.level, terms.epoch
            );
            ("peer-oprf-key", says)
        };
        self.book
            .note(key, (kind, index, says), self.home.clock.now())
    }

    /// Asks a few peers, others each time, which checkpoints they saw.
    pub(super) async fn ask_peers(&self) {
        let roster = self.home.trust.roster();
        let peers: Vec<_> = roster.peers_of(&self.home.member).collect();
        let first = self.asked.fetch_add(RELAYS_ASKED_MAX, Ordering::Relaxed);
        let turn = peers.iter().cycle().skip(first % peers.len().max(1));
        for peer in turn.take(RELAYS_ASKED_MAX.min(peers.len())) {
            match relayed_trust(&self.tls, peer).await {
                Ok(relayed) => {
                    for note in &relayed.log_checkpoints {
                        self.heard(note, peer.id.as_str()).await;
                    }
                }
                Err(error) => tracing::debug!(%error, "a peer tells no checkpoints"),
            }
        }
    }
}

/// Runs what reads and writes files on a thread that may wait.
async fn waiting<T: Send + 'static>(
    step: impl FnOnce() -> Result<T, NodeError> + Send + 'static,
) -> Result<T, NodeError> {
    let done = tokio::task::spawn_blocking(step).await;
    done.unwrap_or_else(|error| Err(NodeError::Folder(error.to_string())))
}
