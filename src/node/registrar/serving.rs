//! The registrar behind its service: what waits for the disk runs where it may wait.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::desk::{Desk, Inner, Outcome, local};
use crate::domain::MemberId;
use crate::membership::KeyStatement;
use crate::service::RegistrarDesk;
use crate::wire::{
    Acknowledgement, DeskView, Enrolment, InvitationKey, LogPage, RootCount, Tally, TrustTexts,
};

impl Desk {
    /// Runs what waits for the disk on a thread that may wait.
    pub(super) async fn waiting<T: Send + 'static>(
        &self,
        step: impl FnOnce(&Inner) -> Outcome<T> + Send + 'static,
    ) -> Outcome<T> {
        let inner = Arc::clone(&self.0);
        let done = tokio::task::spawn_blocking(move || step(&inner)).await;
        done.unwrap_or_else(|error| Err(local(error)))
    }
}

#[tonic::async_trait]
impl RegistrarDesk for Desk {
    fn roots(&self, from_version: u32) -> Vec<String> {
        self.0.trust.roots_from(from_version)
    }

    fn trust(&self, root_version: u32) -> TrustTexts {
        TrustTexts {
            roots: self.roots(root_version.saturating_add(1)),
            list: self.0.trust.roster().signed().to_text().ok(),
            freshness: self.0.freshness(),
            departures: self.0.trust.departures().texts(),
            log_checkpoint: self.0.log_checkpoint(),
        }
    }

    fn news(&self) -> watch::Receiver<u64> {
        self.0.news.subscribe()
    }

    fn note_following(&self, member: &MemberId, follows: bool) {
        let mut nodes = self.0.nodes();
        let state = nodes.standings.entry(member.clone()).or_default();
        state.followers = if follows {
            state.followers.saturating_add(1)
        } else {
            state.followers.saturating_sub(1)
        };
    }

    fn note_installed(&self, member: &MemberId, said: Acknowledgement) {
        let list_version = said.list_version;
        let uptime = self.0.clock.uptime();
        let mut nodes = self.0.nodes();
        let published = nodes
            .published
            .filter(|(version, _)| *version == list_version);
        let took = published.map_or(Duration::ZERO, |(_, at)| uptime.saturating_sub(at));
        let state = nodes.standings.entry(member.clone()).or_default();
        if list_version > state.list_version {
            state.list_version = list_version;
            state.cut = said.cut;
            state.took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        }
        state.root_version = state.root_version.max(said.root_version);
        state.leads_to = said.leads_to;
        state.certificate_not_after = said.certificate_not_after;
    }

    async fn open_invitation(&self, key: InvitationKey) -> Outcome<String> {
        self.waiting(move |desk| desk.open_invitation(&key)).await
    }

    async fn enrol(&self, key: InvitationKey, request: String) -> Outcome<Enrolment> {
        self.waiting(move |desk| desk.enrol(&key, &request)).await
    }

    async fn acknowledge(&self, key: InvitationKey) -> Outcome<()> {
        self.waiting(move |desk| desk.acknowledge(&key)).await
    }

    async fn renew(&self, request: String) -> Outcome<String> {
        self.waiting(move |desk| desk.renew(&request)).await
    }

    async fn change_entry(&self, request: String) -> Outcome<()> {
        self.waiting(move |desk| desk.change_entry(request)).await
    }

    async fn invite(&self, invitation: String, secret_sha256: [u8; 32]) -> Outcome<()> {
        self.waiting(move |desk| desk.invite(&invitation, &secret_sha256))
            .await
    }

    async fn desk(&self, request: String) -> Outcome<DeskView> {
        self.waiting(move |desk| desk.desk(&request)).await
    }

    async fn put_list(&self, list: String) -> Outcome<Tally> {
        self.waiting(move |desk| desk.put_list(&list)).await
    }

    async fn put_root(&self, root: String) -> Outcome<RootCount> {
        self.waiting(move |desk| desk.put_root(&root)).await
    }

    async fn put_issuing(&self, request: String, certificates: Vec<String>) -> Outcome<usize> {
        self.waiting(move |desk| desk.put_issuing(&request, &certificates))
            .await
    }

    async fn read_log(&self, origin: String, from: u64, until: u64) -> Outcome<LogPage> {
        self.waiting(move |desk| desk.read_log(&origin, from, until))
            .await
    }

    async fn file_statement(&self, statement: KeyStatement) -> Outcome<()> {
        self.waiting(move |desk| desk.file_statement(statement))
            .await
    }
}
