//! The simulated network of the demo and of the tests: who borrows, what happens, what is true.
//!
//! Everything is drawn from a seed and replays exactly. [`Population`] says who there is and what
//! stands in the members' books at the start; [`events()`] says what happens then, in the order of
//! time; [`Truth`] is told what the members' nodes recorded, and knows the true answer to a query.
//! The parameters are those of published studies of multiple borrowing; `docs/workload.md` names
//! them.

mod book;
mod conduct;
mod demo;
mod draw;
mod events;
mod identity;
mod lendingclub;
mod needles;
mod network;
mod population;
mod reports;
mod scanner;
mod standing;
mod truth;

pub use demo::{
    DemoError, DemoFigures, DemoProgress, DemoReport, DemoSpec, FlagFigures, Latency,
    MembershipFigures, RemovalAt, ShopperFigures, demo,
};
pub use events::{Activity, Ask, Event, EventSpec, Report, Step, events};
pub use lendingclub::{Terms, terms};
pub use needles::{Origin, Planted, ValueClass};
pub use network::{NetworkError, Place, Seat, SimulatedNetwork, free_address};
pub use population::{Behaviour, Filed, Person, Platform, Population, PopulationSpec};
pub use scanner::{Capture, Hit, Scan, ScanError, Scanner};
pub use truth::{Reporter, Traits, TrueAnswer, Truth};

/// Why a workload cannot be drawn.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WorkloadError {
    /// The extract of real loans is damaged.
    #[error("line {line} of assets/lendingclub/loans.csv is not a loan; restore the file")]
    Extract {
        /// 1-based.
        line: usize,
    },
    /// A population needs somebody who lends.
    #[error("a population needs at least one lender that is a member; ask for one or more")]
    NoLenders,
    /// An identifier that was made up breaks a rule: a fault of this room.
    #[error("a made-up identifier was refused; please report this as a defect")]
    Identifier,
}
