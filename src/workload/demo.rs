//! The demo: a network of real nodes on this machine, a simulated fortnight, and what came of it.

mod administration;
mod measure;
mod play;
mod stage;
mod story;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;
use serde::Serialize;
use tokio::time::Instant;

use super::needles::Planted;
use super::scanner::{ScanError, Scanner};
use super::{
    EventSpec, NetworkError, Population, PopulationSpec, SimulatedNetwork, Truth, WorkloadError,
    events,
};
use crate::domain::{Day, MemberId, Role, Timestamp};
use crate::env::PlayedClock;
use crate::node::NodeParts;
use crate::risk::Policy;
pub use administration::{MembershipFigures, RemovalAt};
use measure::Measure;
pub use measure::{DemoFigures, FlagFigures, Latency, ShopperFigures};
use play::Play;
use stage::Stage;

/// What to show.
#[derive(Debug, Clone)]
pub struct DemoSpec {
    /// Folder of the network; empty.
    pub folder: PathBuf,
    /// Members, the bureau among them; at least 3.
    pub members: usize,
    /// Borrowers.
    pub borrowers: usize,
    /// The same seed shows the same fortnight.
    pub seed: u64,
    /// The day that the fortnight ends with.
    pub today: Day,
}

/// Why the demo does not come to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DemoError {
    /// The network.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The workload.
    #[error(transparent)]
    Workload(#[from] WorkloadError),
    /// A node's folder or store.
    #[error(transparent)]
    Node(#[from] crate::node::NodeError),
    /// A flow.
    #[error(transparent)]
    Flow(#[from] crate::flows::FlowError),
    /// The scan of the disks.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// A store.
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
    /// The spec asks for what cannot be.
    #[error("{0}")]
    Spec(String),
    /// The administrators.
    #[error(transparent)]
    Admin(#[from] crate::node::AdminError),
    /// No free port, or a file.
    #[error("demo: {0}")]
    System(#[from] std::io::Error),
    /// An answer cannot be read.
    #[error("an answer cannot be read: {0}")]
    Answer(#[from] serde_json::Error),
}

/// How far the demo has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DemoProgress {
    /// What is being done.
    pub stage: &'static str,
    /// Steps done.
    pub done: u64,
    /// Steps in all.
    pub total: u64,
}

/// What came of it.
#[derive(Debug, Clone, Serialize)]
pub struct DemoReport {
    /// The figures.
    #[serde(flatten)]
    pub figures: DemoFigures,
    /// What came of the administrators' act.
    pub membership: MembershipFigures,
    /// Stories, line by line: three of borrowers, and the administrators' act.
    pub stories: Vec<Vec<String>>,
    /// Identifier of the first story's borrower, who does not exist: to be asked about in a network
    /// that is kept.
    pub known: Option<String>,
    /// Real time of the whole, seconds.
    pub seconds: f64,
}

/// One of the lenders is stopped during these days of the fortnight.
const STOPPED_DAYS: std::ops::Range<u64> = 7..9;

/// The bureau joins on this day.
const BUREAU_JOINS_DAY: u64 = 3;

const DAY: Duration = Duration::from_secs(86_400);

/// Lenders that are no members, and report to the bureau.
const OUTSIDE_LENDERS: usize = 16;

/// Plays the demo.
///
/// # Errors
/// [`DemoError`]; the folder then holds what was made so far.
pub async fn demo(
    spec: &DemoSpec,
    progress: &(dyn Fn(DemoProgress) + Sync),
) -> Result<DemoReport, DemoError> {
    if !(3..=50).contains(&spec.members) || !(100..=1_000_000).contains(&spec.borrowers) {
        let why = "choose 3 to 50 members and 100 to 1,000,000 borrowers";
        return Err(DemoError::Spec(why.to_owned()));
    }
    let began = Instant::now();
    let event_spec = EventSpec::DEMO;
    let start = spec.today.plus_days(-i64::from(event_spec.days)).start();
    let population = Population::draw(PopulationSpec {
        seed: spec.seed,
        borrowers: spec.borrowers,
        lenders: spec.members - 1,
        outside_lenders: OUTSIDE_LENDERS,
        start,
    })?;
    let happenings = events(&population, &event_spec)?;
    let clock = PlayedClock::at(start);
    let parts = NodeParts::by(clock.clone());
    let stage = Stage::set(spec, &population, parts, progress).await?;
    let currency = "USD".parse().ok();
    let policy = currency.and_then(Policy::built_in);
    let policy = policy.ok_or_else(|| DemoError::Spec("no US dollar policy".to_owned()))?;
    let mut play = Play::new(stage, population, clock, policy)?;
    let total = u64::try_from(happenings.len()).unwrap_or(u64::MAX);
    let day = |number: u64| start.plus(DAY * u32::try_from(number).unwrap_or(u32::MAX));
    let mut rest = happenings.as_slice();
    for (until, act) in [
        (day(BUREAU_JOINS_DAY), Act::BureauJoins),
        (day(STOPPED_DAYS.start), Act::LenderStops),
        (day(STOPPED_DAYS.end), Act::LenderReturns),
        (day(u64::from(event_spec.days)), Act::Ends),
    ] {
        let cut = rest.partition_point(|event| event.at < until);
        let (now, later) = rest.split_at(cut);
        rest = later;
        play.run(now, total, progress).await?;
        play.act(act, until).await?;
    }
    let (mut stories, known) = play.stories();
    let planted = play.planted();
    let (mut figures, mut network) = play.finish();
    network.stop_all().await?;
    progress(DemoProgress {
        stage: "scanning the disks",
        done: 0,
        total: 1,
    });
    figures.identifier_hits = scan(&network, planted).await?;
    progress(DemoProgress {
        stage: "one joins, one is removed",
        done: 0,
        total: 1,
    });
    let folder = spec.folder.join("administrators-act");
    let membership = Box::pin(administration::play(&folder, NodeParts::default())).await?;
    stories.push(administration::tell(&membership));
    Ok(DemoReport {
        figures,
        membership,
        stories,
        known,
        seconds: began.elapsed().as_secs_f64(),
    })
}

/// Looks for identifiers in the clear on every member's disk.
async fn scan(network: &SimulatedNetwork, planted: Vec<Planted>) -> Result<u64, DemoError> {
    let id = network.admin().root().network().clone();
    let scanner = Arc::new(Scanner::new(&planted, &id)?);
    let scans = network.folders().map(|folder| {
        let (scanner, path) = (Arc::clone(&scanner), folder.path().to_owned());
        tokio::task::spawn_blocking(move || scanner.tree(&path))
    });
    let scanned = try_join_all(scans).await;
    let scanned = scanned.map_err(|_| DemoError::Spec("the scan was broken off".to_owned()))?;
    let mut hits = 0;
    for scan in scanned {
        hits += scan?.hits.len() as u64;
    }
    Ok(hits)
}

/// What changes between the stretches of the fortnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    BureauJoins,
    LenderStops,
    LenderReturns,
    Ends,
}

/// A member of the demo's network.
#[derive(Debug, Clone)]
struct Player {
    member: MemberId,
    role: Role,
}

/// The demo's members: lenders, then the bureau.
fn players(population: &Population) -> Result<Vec<Player>, DemoError> {
    let mut players = Vec::with_capacity(population.members());
    for number in 0..population.members() {
        let platform = population
            .platforms
            .iter()
            .find(|p| p.member == number && p.is_member);
        let (name, role) = match platform {
            Some(platform) => (platform.group.as_str(), Role::Lender),
            None => ("bureau", Role::Bureau),
        };
        let member = name
            .parse()
            .map_err(|error| DemoError::Spec(format!("{name}: {error}")))?;
        players.push(Player { member, role });
    }
    Ok(players)
}

/// When something happened, as a story tells it.
fn told(at: Timestamp) -> String {
    let text = at.to_rfc3339();
    text.get(5..16)
        .map_or(text.clone(), |part| part.replace('T', " "))
}

/// What the stories and figures need of one answer.
#[derive(Debug, Clone)]
struct Heard {
    at: Timestamp,
    asker: usize,
    person: usize,
    recheck: bool,
    soft: bool,
    outcome: String,
    flags: Vec<(String, String)>,
}

impl Heard {
    fn shows(&self, code: &str) -> bool {
        self.flags
            .iter()
            .any(|(flag, state)| flag == code && state == "TRUE")
    }
}

/// The oracle and the judge of every answer.
#[derive(Debug)]
struct Judge {
    truth: Truth,
    policy: Policy,
    measure: Measure,
}
