//! Thin handlers for peers and for operators: admit, convert, decide, effect, convert.

mod operator;
mod operator_rows;
mod peer;
mod status;

pub use operator::{OperatorService, StatusSource};
pub use operator_rows::outcome;
pub use peer::PeerService;
pub use status::status_of;
