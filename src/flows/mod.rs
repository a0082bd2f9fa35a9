//! The effects in their order: book, publish, answer, mirror, assess, epochs.
//!
//! A flow reads and writes through the [`Vault`](crate::store::Vault), asks peers through the
//! [`Transport`](crate::net::Transport), and leaves every decision to the pure rooms above.

mod alerts;
mod answerer;
mod assess;
mod audit_read;
mod auditor;
mod book;
mod check;
mod contract;
mod desk;
mod dispute_row;
mod disputes;
mod draft;
mod due;
mod error;
mod feed_rows;
mod fence;
mod filing;
mod fishing;
mod follow;
mod home;
mod identities;
mod ledger;
mod logged;
mod mirrors;
mod open_feed;
mod opener;
mod openings;
mod own_feeds;
mod own_keys;
mod peer_keys;
mod promise;
mod publish;
mod question;
mod reconcile;
mod retention;
mod standing;
mod standing_months;
mod standing_rows;
mod steps;
mod watch;
mod webhook;

pub use alerts::{Alert, AlertStep, Alerts, Handling, NewAlert, Subject};
pub use answerer::{Answerer, leaves_in};
pub use assess::{Assessor, Given};
pub use audit_read::{AuditPage, AuditReader};
pub use auditor::{AtPeer, Auditor, Checked};
pub use book::{Book, Filed, Filing};
pub use check::{AuditLogCheck, FeedsCheck};
pub use desk::{Applied, Desk, NewApplication, NewHold};
pub use dispute_row::{Decision, Dispute, DisputeState, Resolution};
pub use disputes::late_disputes;
pub use error::{FlowError, retry_conflicts};
pub use fence::{fence_of, raise_fence};
pub use filing::{FiledSignal, NewSignal, SignalState};
pub use fishing::{Acknowledged, Fishing, KeptFinding};
pub use follow::{Follower, Troubles};
#[doc(hidden)]
pub use home::Order;
pub use home::{Home, Timing};
pub use identities::Identities;
pub use ledger::{AuditEvent, Ledger};
pub use logged::Logged;
pub use mirrors::{Mirror, Mirrors};
pub use opener::Opener;
pub use own_feeds::OwnFeeds;
pub use own_keys::OwnKeys;
pub use peer_keys::PeerKeys;
pub use publish::{Publisher, PublisherTask};
pub use reconcile::{Reconciled, Reconciler};
pub use retention::Scheduled;
pub use standing::{PeerReport, SeenEnd, Standings};
pub use watch::{NewWatched, PeerProgress, Watch, WatchSettings, WatchedEntry};
pub use webhook::{DeadLetter, Webhook, WebhookTarget};
