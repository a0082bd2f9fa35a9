//! The only room that knows protobuf: messages in and out of the domain, with one error at the
//! border.
//!
//! A generated message becomes a checked one through `TryFrom`; what cannot is [`Malformed`].
//! Checked messages go out through `From`, which cannot fail.

mod auditing;
mod explain;
mod light;
mod log;
mod malformed;
mod peer;
mod registrar;
mod standing;
mod witness;

pub mod pb;

pub use auditing::{Delivered, LoggedEntry, LoggedPage, LoggedWanted, OpeningsWanted};
pub use explain::Verdict;
pub use light::{
    LightHead, LightOffer, LightQuestion, light_entries, light_offer_response, light_offers,
    light_part,
};
pub use log::{LogPage, filed_statement};
pub use malformed::Malformed;
pub use peer::{Chunk, Description, Evaluation, FeedWanted, Question};
pub use registrar::{
    Acknowledgement, DeskView, Enrolment, InvitationKey, RootCount, Standing, Tally, TrustTexts,
};
pub use standing::monthly_statements;
pub use witness::{CosignGiven, CosignWanted, GrowthGiven, Sightings};
