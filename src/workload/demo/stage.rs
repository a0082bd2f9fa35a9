//! Before the curtain: the network is founded, books are imported, mirrors fill.

use futures::future::try_join_all;

use super::{DemoError, DemoProgress, DemoSpec, Player, players};
use crate::domain::{Record, Role};
use crate::flows::Book;
use crate::node::NodeParts;
use crate::workload::{NetworkError, Population, Seat, SimulatedNetwork};

/// Records that one commit of an import takes.
const CHUNK: usize = 200;

/// The network with its lenders running; the bureau has not joined.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) network: SimulatedNetwork,
    pub(super) players: Vec<Player>,
}

impl Stage {
    pub(super) async fn set(
        spec: &DemoSpec,
        population: &Population,
        parts: NodeParts,
        progress: &(dyn Fn(DemoProgress) + Sync),
    ) -> Result<Self, DemoError> {
        let players = players(population)?;
        let currency = "USD"
            .parse()
            .map_err(|_| DemoError::Spec("no US dollar".to_owned()))?;
        let id = "demo-net"
            .parse()
            .map_err(|error| DemoError::Spec(format!("{error}")))?;
        let network = SimulatedNetwork::found(&spec.folder, id, currency, parts)?;
        let mut stage = Self { network, players };
        let lenders: Vec<usize> = stage.numbers_of(Role::Lender);
        for number in &lenders {
            stage.join(*number).await?;
        }
        let total: u64 = lenders
            .iter()
            .map(|n| population.book(*n).count() as u64)
            .sum();
        let done = std::sync::atomic::AtomicU64::new(0);
        let imports = lenders.iter().map(|number| {
            let records: Vec<Record> = population.book(*number).cloned().collect();
            let (stage, done) = (&stage, &done);
            async move {
                stage
                    .import(*number, &records, |rows| {
                        let before = done.fetch_add(rows, std::sync::atomic::Ordering::Relaxed);
                        progress(DemoProgress {
                            stage: "importing books",
                            done: before + rows,
                            total,
                        });
                    })
                    .await
            }
        });
        try_join_all(imports).await?;
        let members = lenders.len() as u64;
        for (done, number) in (1..).zip(&lenders) {
            let member = stage.player(*number)?.member.clone();
            stage.network.start(&member).await?;
            progress(DemoProgress {
                stage: "starting nodes",
                done,
                total: members,
            });
        }
        progress(DemoProgress {
            stage: "mirroring feeds",
            done: 0,
            total: members,
        });
        stage.network.mirrored().await?;
        Ok(stage)
    }

    pub(super) fn player(&self, number: usize) -> Result<&Player, DemoError> {
        self.players
            .get(number)
            .ok_or_else(|| DemoError::Spec(format!("there is no member number {number}")))
    }

    pub(super) fn numbers_of(&self, role: Role) -> Vec<usize> {
        let numbered = self.players.iter().enumerate();
        numbered
            .filter(|(_, player)| player.role == role)
            .map(|(number, _)| number)
            .collect()
    }

    /// Lets a member join; its node does not run yet.
    pub(super) async fn join(&mut self, number: usize) -> Result<(), DemoError> {
        let player = self.player(number)?;
        // The bureau's book is about as large as all lenders' together.
        let weight = if player.role == Role::Bureau { 2 } else { 1 };
        let seat = Seat {
            member: player.member.clone(),
            role: player.role,
            weight,
        };
        Ok(self.network.join(&seat).await?)
    }

    /// Imports a book into a stopped node.
    pub(super) async fn import(
        &self,
        number: usize,
        records: &[Record],
        heard: impl Fn(u64),
    ) -> Result<(), DemoError> {
        let folder = self.network.folder_of(&self.player(number)?.member)?;
        let opened = folder.open().await?;
        let book = Book::new(opened.vault.clone());
        for chunk in records.chunks(CHUNK) {
            for filed in book.file(chunk, self.network.now()).await? {
                filed?;
            }
            heard(chunk.len() as u64);
        }
        Ok(opened.close().await?)
    }

    /// Starts a member's node and waits until all mirrors are whole.
    pub(super) async fn start(&mut self, number: usize) -> Result<(), DemoError> {
        let member = self.player(number)?.member.clone();
        self.network.start(&member).await?;
        Ok(self.network.mirrored().await?)
    }

    /// Whether a member's node runs.
    pub(super) fn runs(&self, number: usize) -> bool {
        let player = self.players.get(number);
        player.is_some_and(|player| self.network.node(&player.member).is_ok())
    }

    pub(super) async fn stop(&mut self, number: usize) -> Result<(), DemoError> {
        let member = self.player(number)?.member.clone();
        Ok(self.network.stop(&member).await?)
    }

    pub(super) fn desk(&self, number: usize) -> Result<&crate::flows::Desk, NetworkError> {
        let member = self.players.get(number).map(|player| player.member.clone());
        let member = member.ok_or(NetworkError::NoSuchNumber(number))?;
        Ok(self.network.node(&member)?.desk())
    }
}
