//! What a conclusion about a borrower is drawn from beside what was heard: who asks, and how far
//! each member is believed.

use super::{Book, FlowError, Home, Standings};
use crate::domain::{Borrower, SilentReason};
use crate::membership::Member;
use crate::risk::{AskerContext, PeerView, Seen};

/// One member, with what it told.
pub(super) fn view_of(home: &Home, standings: &Standings, peer: &Member, seen: Seen) -> PeerView {
    PeerView {
        member: peer.id.clone(),
        lender_group: peer.lender_group.clone(),
        role: peer.role,
        level: peer.level,
        weight: home.standing(peer).1,
        standing: standings.of(&peer.id),
        seen,
    }
}

/// Suspended members are not asked; what they know is unknown, not nothing.
pub(super) fn suspended(home: &Home, standings: &Standings) -> Vec<PeerView> {
    let roster = home.trust.roster();
    let suspended = roster.suspended_of(&home.member);
    let reason = SilentReason::Suspended;
    suspended
        .map(|peer| view_of(home, standings, peer, Seen::Silent { reason }))
        .collect()
}

/// This member as one that asks about a borrower, with what it publishes of it itself.
///
/// # Errors
/// The store's failure.
pub(super) async fn asker_of(
    home: &Home,
    book: &Book,
    borrower: &Borrower,
) -> Result<AskerContext, FlowError> {
    let own = match &borrower.national {
        Some(identifier) => {
            let records = book.records_of(identifier.canonical()).await?;
            Some(home.summarized(&records, home.level())?.summary)
        }
        None => None,
    };
    let context = AskerContext::new(
        home.network().clone(),
        home.lender_group()?,
        home.bands.clone(),
    );
    Ok(AskerContext {
        level: home.level(),
        asked_national: borrower.national.is_some(),
        own,
        ..context
    })
}
