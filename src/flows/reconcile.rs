//! This node's log and a peer's, compared: whether both tell the same of what one asked the other.

use std::sync::Arc;

use serde_json::Value;

use super::{Assessor, FlowError, Home, Logged};
use crate::domain::{MemberId, QueryId, Timestamp};
use crate::limits::{
    LOGGED_DEADLINE, LOGS_SKEW_MAX, RECONCILE_ENTRIES_MAX, RECONCILE_SETTLED, RECONCILE_STEP,
};
use crate::membership::Member;
use crate::protocol::opening::{AskedLine, DifferenceKind, LogDifference, LogSide, compare};
use crate::wire::{LoggedPage, LoggedWanted};

/// What a comparison came to, up to a moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Evaluations that both sides logged alike.
    pub agree: u64,
    /// Questions that only the asker logged, and of which nothing says that they were answered: the
    /// call may not have arrived.
    pub unanswered: u64,
    /// Evaluations that cannot be compared, since the asker does not keep any more whom it asked.
    pub unknown: u64,
    /// What differs: who asked, and what it is.
    pub differences: Vec<(MemberId, LogDifference)>,
}

/// Compares logs.
#[derive(Debug, Clone)]
pub struct Reconciler {
    home: Arc<Home>,
    logged: Logged,
    answers: Assessor,
}

impl Reconciler {
    /// Compares this node's log; `answers` tell which peers answered.
    #[must_use]
    pub fn new(home: Arc<Home>, answers: Assessor) -> Self {
        Self {
            logged: Logged::new(Arc::clone(&home)),
            home,
            answers,
        }
    }

    /// The moment up to which entries can be compared: calls that began before it have ended.
    #[must_use]
    pub fn settled(&self) -> Timestamp {
        self.home.clock.now().minus(RECONCILE_SETTLED)
    }

    /// Compares one step from `from` on, both directions; gives where the next one begins.
    ///
    /// # Errors
    /// [`FlowError::NotPossible`] where the peer is no active lender or bureau, or there are too
    /// many entries; [`FlowError::Call`] where it cannot be asked.
    pub async fn step(
        &self,
        peer: &MemberId,
        (from, until): (Timestamp, Timestamp),
    ) -> Result<(Reconciled, Timestamp), FlowError> {
        let listed = self.home.peer(peer).ok_or_else(|| {
            FlowError::NotPossible(format!(
                "{peer} is no active lender or bureau of the member list beside this one"
            ))
        })?;
        let end = from.plus(RECONCILE_STEP).min(until);
        let mut came = Reconciled::default();
        self.direction(&listed, true, (from, end), &mut came)
            .await?;
        self.direction(&listed, false, (from, end), &mut came)
            .await?;
        Ok((came, end))
    }

    /// Compares what one side asked the other.
    async fn direction(
        &self,
        peer: &Member,
        is_own: bool,
        span: (Timestamp, Timestamp),
        came: &mut Reconciled,
    ) -> Result<(), FlowError> {
        let own = self.home.member.clone();
        let (asker, answerer) = match is_own {
            true => (own, peer.id.clone()),
            false => (peer.id.clone(), own),
        };
        let wanted = LoggedWanted {
            asker: asker.clone(),
            answerer,
            from: span.0.minus(LOGS_SKEW_MAX),
            until: span.1.plus(LOGS_SKEW_MAX),
            next: 0,
            commitment: None,
        };
        let (ours, own_unknown) = self.side(None, wanted.clone()).await?;
        let (theirs, peer_unknown) = self.side(Some(peer), wanted).await?;
        let (asked, answered, mut unknown) = match is_own {
            true => (&ours, &theirs, own_unknown),
            false => (&theirs, &ours, peer_unknown),
        };
        let (agree, found) = compare(asked, answered, span);
        came.agree += agree;
        for one in found {
            match one.kind {
                // Each question that a side cannot tell any more explains one difference.
                DifferenceKind::OnlyAnswered if unknown > 0 => {
                    unknown -= 1;
                    came.unknown += 1;
                }
                DifferenceKind::OnlyAsked
                    if !(is_own && self.was_answered(&one, &peer.id).await?) =>
                {
                    came.unanswered += 1;
                }
                DifferenceKind::OnlyAnswered
                | DifferenceKind::OnlyAsked
                | DifferenceKind::Differs => came.differences.push((asker.clone(), one)),
            }
        }
        Ok(())
    }

    /// One side's entries, and how many queries in the span it cannot tell of.
    async fn side(
        &self,
        peer: Option<&Member>,
        mut wanted: LoggedWanted,
    ) -> Result<(LogSide, u64), FlowError> {
        let (mut side, mut unknown) = (LogSide::default(), 0);
        loop {
            let page: LoggedPage = match peer {
                None => self.logged.page(&wanted).await?,
                Some(peer) => {
                    let asked = self
                        .home
                        .peers
                        .logged(peer, LOGGED_DEADLINE, wanted.clone());
                    asked.await?
                }
            };
            unknown += u64::from(page.unknown);
            side.take(page.entries);
            if side.len() > RECONCILE_ENTRIES_MAX {
                return Err(FlowError::NotPossible(format!(
                    "more than {RECONCILE_ENTRIES_MAX} evaluations within the hour after {}: too \
                     many to compare at once",
                    wanted.from.plus(LOGS_SKEW_MAX)
                )));
            }
            match page.next {
                // A peer that does not get on would be asked for ever.
                Some(next) if next > wanted.next => wanted.next = next,
                Some(_) | None => return Ok((side, unknown)),
            }
        }
    }

    /// Whether this node's own answer says that the peer answered.
    async fn was_answered(&self, one: &LogDifference, peer: &MemberId) -> Result<bool, FlowError> {
        let Some(query) = self.query_of(one).await? else {
            return Ok(false);
        };
        match self.answers.fetch(query).await {
            Ok(given) => Ok(says_answered(&given.json, peer)),
            // Batches of the watch list have no answer that is kept.
            Err(FlowError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The query of this node with this commitment.
    async fn query_of(&self, one: &LogDifference) -> Result<Option<QueryId>, FlowError> {
        let (from, until) = (one.at, Timestamp::from_unix_ms(one.at.unix_ms() + 1));
        let found = self.logged.asked(one.commitment, (from, until)).await?;
        Ok(found.map(|(_, asked): (u64, AskedLine)| asked.query))
    }
}

/// Whether an answer counts a peer among those who answered.
fn says_answered(answer: &str, peer: &MemberId) -> bool {
    let Ok(answer) = serde_json::from_str::<Value>(answer) else {
        return false;
    };
    let silent = answer.pointer("/coverage/silent").and_then(Value::as_array);
    silent.is_some_and(|silent| {
        let names = silent
            .iter()
            .map(|one| one.get("member").and_then(Value::as_str));
        // Where the policy hides who was silent, it may be this one.
        names
            .into_iter()
            .all(|name| name.is_some_and(|name| name != peer.as_str()))
    })
}

#[cfg(test)]
mod tests {
    use super::says_answered;

    #[test]
    fn an_answer_tells_who_answered_unless_it_hides_who_was_silent() {
        let peer = "beta".parse().unwrap();
        let says = |silent: &str| {
            says_answered(&format!(r#"{{"coverage":{{"silent":[{silent}]}}}}"#), &peer)
        };
        assert!(says(""));
        assert!(says(r#"{"member":"gamma","reason":"deadline"}"#));
        assert!(!says(r#"{"member":"beta","reason":"deadline"}"#));
        assert!(!says(r#"{"reason":"deadline"}"#));
        assert!(!says_answered("{}", &peer) && !says_answered("no JSON", &peer));
    }
}
