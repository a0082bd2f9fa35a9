//! A registrar that follows the network's other registrars: newer roots, lists and departures come
//! from them. Freshness it states itself, so that the loss of one stops nobody.

use tokio::time::{interval, sleep};
use tokio_util::sync::CancellationToken;

use super::desk::{Desk, Inner, Outcome, document, local};
use crate::limits::{PULL_INTERVAL, REGISTRAR_BACKOFF_MAX, REGISTRAR_BACKOFF_MIN};
use crate::membership::{MemberList, NetworkRoot, RootDocument, Roster, Signed, Supersession};
use crate::net::{RegistrarClient, RegistrarDoor, RegistrarError, fetch_roots};
use crate::wire::TrustTexts;

/// What follows one other registrar.
pub(super) struct Fellow {
    pub(super) endpoint: String,
    pub(super) desk: Desk,
    pub(super) door: RegistrarDoor,
}

impl Fellow {
    /// Follows until `stop`.
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut pause = REGISTRAR_BACKOFF_MIN;
        loop {
            let followed = tokio::select! {
                () = stop.cancelled() => return,
                followed = self.follow() => followed,
            };
            match followed {
                Ok(()) => pause = REGISTRAR_BACKOFF_MIN,
                Err(error) => {
                    tracing::warn!(%error, "cannot follow another registrar; tried again");
                    if !error.is_passing() {
                        self.catch_up().await;
                    }
                    pause = pause.saturating_mul(2).min(REGISTRAR_BACKOFF_MAX);
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(pause) => {}
            }
        }
    }

    async fn follow(&self) -> Result<(), RegistrarError> {
        let trust = &self.desk.0.trust;
        let mut client =
            RegistrarClient::connect_registrar(&self.endpoint, &self.door, trust).await?;
        let mut stream = client.follow(trust.root().version()).await?;
        let mut pull = interval(PULL_INTERVAL);
        pull.tick().await;
        loop {
            let texts = tokio::select! {
                texts = stream.next() => match texts? {
                    Some(texts) => texts,
                    None => return Ok(()),
                },
                _ = pull.tick() => client.fetch(trust.root().version()).await?,
            };
            self.take(texts).await;
        }
    }

    /// Fetches the roots that follow the one in force, where this registrar and the other trust
    /// different X.509 roots already.
    async fn catch_up(&self) {
        let trust = &self.desk.0.trust;
        let next = trust.root().version().saturating_add(1);
        match fetch_roots(&self.endpoint, trust.network(), next, trust.clock()).await {
            Ok(roots) => {
                let texts = TrustTexts {
                    roots,
                    ..TrustTexts::default()
                };
                self.take(texts).await;
            }
            Err(error) => tracing::info!(%error, "no newer root there"),
        }
    }

    async fn take(&self, texts: TrustTexts) {
        let taken = self.desk.waiting(move |desk| desk.take_texts(&texts)).await;
        if let Err(error) = taken {
            let endpoint = &self.endpoint;
            tracing::error!(%error, endpoint, "what another registrar has is refused");
        }
    }
}

impl Inner {
    /// Takes what another registrar has, where it is newer. A list that contradicts the one in
    /// force is refused, and both stay to be seen by the administrators.
    fn take_texts(&self, texts: &TrustTexts) -> Outcome<()> {
        for text in &texts.roots {
            self.take_root(text)?;
        }
        for text in &texts.departures {
            if let Err(error) = self.take_departure(text) {
                tracing::info!(%error, "a departure is refused");
            }
        }
        match &texts.list {
            Some(text) => self.take_list(text),
            None => Ok(()),
        }
    }

    fn take_root(&self, text: &str) -> Outcome<()> {
        let offered = Signed::<RootDocument>::parse(text).map_err(document)?;
        let mut files = self.files();
        let held = self.trust.root();
        if offered.document().version <= held.version() {
            return Ok(());
        }
        NetworkRoot::succeed_kept(&held, text, self.now()).map_err(document)?;
        self.publish_root(&mut files, &held, &offered)
    }

    fn take_list(&self, text: &str) -> Outcome<()> {
        let offered = Signed::<MemberList>::parse(text).map_err(document)?;
        let mut files = self.files();
        let held = self.trust.roster();
        if offered.document().version < held.version() {
            return Ok(());
        }
        if offered.digest().map_err(document)? == *held.digest() {
            return Ok(());
        }
        let roster = Roster::verify(&self.trust.root(), text, self.now()).map_err(document)?;
        match roster.supersedes(&held).map_err(document)? {
            Supersession::Same => Ok(()),
            Supersession::Newer => self.publish(&mut files, &offered).map_err(local),
        }
    }
}
