//! What credit sharing is: identifiers, money, time, records, summaries, answers. Pure.

mod ids;
mod time;

pub use ids::{
    Epoch, InvalidName, LenderGroup, Level, MemberId, NetworkId, Purpose, QueryId, RecordId, Role,
    Version,
};
pub use time::{Day, Hour, InvalidDay, Timestamp};
