//! What this node logged of the evaluations between it and another member, told to that member and
//! to auditors.

use std::sync::Arc;

use super::openings;
use super::{AuditReader, FlowError, Home};
use crate::domain::{MemberId, Timestamp};
use crate::limits::{LOGGED_PAGE_MAX, LOGGED_READ_MAX};
use crate::membership::{Service, VerifiedPeer, Wish};
use crate::protocol::opening::{AnsweredLine, AskedLine, logged_at};
use crate::wire::{LoggedEntry, LoggedPage, LoggedWanted, Malformed};

/// Tells of this node's audit log, and never of a borrower.
#[derive(Debug, Clone)]
pub struct Logged {
    home: Arc<Home>,
    reader: AuditReader,
}

impl Logged {
    /// Tells of this node's log.
    #[must_use]
    pub fn new(home: Arc<Home>) -> Self {
        Self {
            reader: AuditReader::new(Arc::clone(&home)),
            home,
        }
    }

    /// A page for `peer`: of what is between it and this node, or for an auditor of what is between
    /// this node and anybody.
    ///
    /// # Errors
    /// [`FlowError::Denied`], [`FlowError::Malformed`] where neither side is this node,
    /// [`FlowError::Store`].
    pub async fn page_for(
        &self,
        peer: &VerifiedPeer,
        wanted: &LoggedWanted,
    ) -> Result<LoggedPage, FlowError> {
        let other = self.other(wanted)?;
        if other != peer.member() {
            let at = self.home.clock.now();
            peer.may(&Wish {
                service: Service::Audit,
                purpose: None,
                at,
            })?;
        }
        self.page(wanted).await
    }

    /// The side that is not this node.
    fn other<'a>(&self, wanted: &'a LoggedWanted) -> Result<&'a MemberId, FlowError> {
        let own = &self.home.member;
        match (wanted.asker == *own, wanted.answerer == *own) {
            (false, true) => Ok(&wanted.asker),
            (true, false) => Ok(&wanted.answerer),
            (true, true) | (false, false) => {
                let reason = format!("either this or `asker` must be {own}");
                Err(Malformed::new("answerer", reason).into())
            }
        }
    }

    /// As [`Self::page_for`], for this node itself.
    ///
    /// # Errors
    /// [`FlowError::Malformed`], [`FlowError::Store`].
    pub async fn page(&self, wanted: &LoggedWanted) -> Result<LoggedPage, FlowError> {
        let other = self.other(wanted)?;
        let size = self.reader.size().await?;
        let mut next = match wanted.next {
            0 => self.first_at(wanted.from, size).await?,
            next => next,
        };
        let mut told = LoggedPage::default();
        let end = next.saturating_add(LOGGED_READ_MAX).min(size);
        while next < end {
            let lines = self.reader.page(next, size).await?.entries;
            if lines.is_empty() {
                break;
            }
            for (position, line) in lines {
                let at = logged_at(&line).ok_or(FlowError::Unreadable {
                    what: "audit log entry",
                })?;
                if at >= wanted.until {
                    return Ok(told);
                }
                if told.entries.len() >= LOGGED_PAGE_MAX {
                    told.next = Some(position);
                    return Ok(told);
                }
                if at >= wanted.from {
                    self.take(&mut told, (position, &line), wanted, other)
                        .await?;
                }
                next = position + 1;
            }
        }
        told.next = (next < size).then_some(next);
        Ok(told)
    }

    /// Takes one entry of the log into the page, where it is asked for.
    async fn take(
        &self,
        told: &mut LoggedPage,
        (position, line): (u64, &str),
        wanted: &LoggedWanted,
        other: &MemberId,
    ) -> Result<(), FlowError> {
        let is_wanted = |commitment| wanted.commitment.is_none_or(|only| only == commitment);
        if wanted.answerer == self.home.member {
            let answered = AnsweredLine::parse(line);
            let of_asker = |one: &AnsweredLine| one.member == *other && is_wanted(one.commitment);
            told.entries
                .extend(answered.filter(of_asker).map(|one| LoggedEntry {
                    position,
                    at: one.at,
                    purpose: one.purpose,
                    level: one.level,
                    epoch: one.epoch,
                    commitment: one.commitment,
                    batch: one.batch,
                    elements: one.elements,
                }));
            return Ok(());
        }
        let Some(asked) = AskedLine::parse(line).filter(|one| is_wanted(one.commitment)) else {
            return Ok(());
        };
        let Some(opening) = openings::read(&self.home, asked.query).await? else {
            told.unknown = told.unknown.saturating_add(1);
            return Ok(());
        };
        let put_to = opening.peers.iter().find(|peer| peer.member == *other);
        told.entries.extend(put_to.map(|peer| LoggedEntry {
            position,
            at: asked.at,
            purpose: asked.purpose,
            level: peer.level,
            epoch: peer.epoch,
            commitment: asked.commitment,
            batch: peer.batch,
            elements: opening.elements(),
        }));
        Ok(())
    }

    /// The first query of this node with this commitment that was logged within a span.
    ///
    /// # Errors
    /// [`FlowError::Store`].
    pub async fn asked(
        &self,
        commitment: [u8; 32],
        (from, until): (Timestamp, Timestamp),
    ) -> Result<Option<(u64, AskedLine)>, FlowError> {
        let size = self.reader.size().await?;
        let mut next = self.first_at(from, size).await?;
        loop {
            let lines = self.reader.page(next, size).await?.entries;
            if lines.is_empty() {
                return Ok(None);
            }
            for (position, line) in lines {
                if logged_at(&line).is_none_or(|at| at >= until) {
                    return Ok(None);
                }
                let asked = AskedLine::parse(&line);
                if let Some(asked) = asked.filter(|one| one.commitment == commitment) {
                    return Ok(Some((position, asked)));
                }
                next = position + 1;
            }
        }
    }

    /// The position of the first entry that was logged at `from` or later, as long as the clock
    /// went forwards.
    async fn first_at(&self, from: Timestamp, size: u64) -> Result<u64, FlowError> {
        let (mut low, mut high) = (0, size);
        while low < high {
            let middle = low + (high - low) / 2;
            let line = self.reader.line(middle).await?;
            if logged_at(&line).is_some_and(|at| at < from) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }
}
