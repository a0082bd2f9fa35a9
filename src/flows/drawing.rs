//! Drawing queries of a member, for an auditor who has them opened: from the logs of those who
//! answered, which the member does not write.

use super::{Auditor, FlowError};
use crate::domain::{MemberId, Role, Timestamp};
use crate::limits::{DRAW_PAGES_MAX, DRAW_SEED_CHARS_MAX, LOGGED_DEADLINE, SAMPLE_MAX};
use crate::membership::Member;
use crate::protocol::opening::{Draw, Drawn};
use crate::wire::{LoggedWanted, Malformed};

/// What is to be drawn.
#[derive(Debug, Clone)]
pub struct NewDraw {
    /// Whose queries.
    pub member: MemberId,
    /// How many, at most [`SAMPLE_MAX`].
    pub count: usize,
    /// What draws them: chosen by the auditor when the span is over, 1 to
    /// [`DRAW_SEED_CHARS_MAX`] characters.
    pub seed: String,
    /// Answered then or later.
    pub from: Timestamp,
    /// Answered before.
    pub until: Timestamp,
}

/// What was drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrawnSample {
    /// The queries.
    pub drawn: Vec<Drawn>,
    /// How many evaluations they were drawn from.
    pub offered: u64,
    /// Members whose logs were not reached: with them the draw may be another.
    pub unreached: Vec<MemberId>,
}

impl Auditor {
    /// Draws queries of a member from the logs of all who answered it.
    ///
    /// # Errors
    /// [`FlowError::Malformed`] where count or seed is out of bounds, [`FlowError::NotPossible`]
    /// where this member is no auditor, or the other none that asks.
    pub async fn draw(&self, wanted: NewDraw) -> Result<DrawnSample, FlowError> {
        // Who could not read what is opened draws nothing.
        self.key().await?;
        if !(1..=SAMPLE_MAX).contains(&wanted.count) {
            return Err(Malformed::new("count", format!("must be 1 to {SAMPLE_MAX}")).into());
        }
        if !(1..=DRAW_SEED_CHARS_MAX).contains(&wanted.seed.chars().count()) {
            let reason = format!("must be 1 to {DRAW_SEED_CHARS_MAX} characters");
            return Err(Malformed::new("seed", reason).into());
        }
        let home = self.home();
        let roster = home.trust.roster();
        let listed = roster.member(&wanted.member);
        if listed.is_none_or(|one| one.role == Role::Regulator) {
            return Err(FlowError::NotPossible(format!(
                "{} is no lender or bureau of the member list",
                wanted.member
            )));
        }
        let mut draw = Draw::new(&wanted.seed, wanted.count);
        let mut unreached = Vec::new();
        for answerer in roster.peers_of(&wanted.member) {
            match self.offer(&wanted, answerer, &mut draw).await {
                Ok(()) => {}
                Err(FlowError::Call(error)) => {
                    tracing::info!(peer = %answerer.id, %error, "nothing drawn from this log");
                    unreached.push(answerer.id.clone());
                }
                Err(error) => return Err(error),
            }
        }
        let (offered, drawn) = draw.finish();
        Ok(DrawnSample {
            drawn,
            offered,
            unreached,
        })
    }

    async fn offer(
        &self,
        wanted: &NewDraw,
        answerer: &Member,
        draw: &mut Draw,
    ) -> Result<(), FlowError> {
        let mut page_wanted = LoggedWanted {
            asker: wanted.member.clone(),
            answerer: answerer.id.clone(),
            from: wanted.from,
            until: wanted.until,
            next: 0,
            commitment: None,
        };
        for _ in 0..DRAW_PAGES_MAX {
            let peers = &self.home().peers;
            let page = peers.logged(answerer, LOGGED_DEADLINE, page_wanted.clone());
            let page = page.await?;
            for entry in &page.entries {
                draw.offer(&answerer.id, entry);
            }
            match page.next {
                // A peer that does not get on would be asked for ever.
                Some(next) if next > page_wanted.next => page_wanted.next = next,
                Some(_) | None => return Ok(()),
            }
        }
        Err(FlowError::NotPossible(format!(
            "the log of {} is too long for one draw: name a shorter span",
            answerer.id
        )))
    }
}
