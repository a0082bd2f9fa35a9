//! Counting what a member asks in one day, one question after the other.

use std::ops::RangeInclusive;

use super::{AskerDay, HOURS};
use crate::domain::{Day, Purpose, Timestamp};
use crate::limits::COMMITMENTS_COMPARED;

/// Gaps that a rhythm is made of, ms: shorter ones are bulk, longer ones are pauses.
const RHYTHM_MS: RangeInclusive<u64> = 1_000..=3_600_000;

/// A question as a day counts it.
#[derive(Debug, Clone, Copy)]
pub struct CountedQuestion {
    /// When.
    pub at: Timestamp,
    /// Why.
    pub purpose: Purpose,
    /// How many elements.
    pub elements: u32,
    /// Its commitment to borrower and consent.
    pub commitment: [u8; 32],
}

/// One member's day while it is counted, with what the next question is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DayCounter {
    /// The day so far.
    pub day: AskerDay,
    /// When it last asked about people, and the gap before that in ms.
    pub last: Option<(Timestamp, u64)>,
    /// The beginnings of the newest commitments, at most [`COMMITMENTS_COMPARED`].
    pub commitments: Vec<u64>,
}

impl DayCounter {
    /// Nothing counted yet.
    #[must_use]
    pub const fn new(day: Day) -> Self {
        Self {
            day: AskerDay::new(day),
            last: None,
            commitments: Vec::new(),
        }
    }

    /// Counts one question. Reviews of accounts go in bulk by machine: only their elements count.
    pub fn count(&mut self, question: &CountedQuestion) {
        let day = &mut self.day;
        let place = Purpose::ALL.iter().position(|one| *one == question.purpose);
        if let Some(sum) = place.and_then(|place| day.elements.get_mut(place)) {
            *sum = sum.saturating_add(u64::from(question.elements));
        }
        if question.purpose == Purpose::AccountReview {
            return;
        }
        let hour = usize::try_from(question.at.hour().0).unwrap_or(0) % HOURS;
        if let Some(requests) = day.hours.get_mut(hour) {
            *requests = requests.saturating_add(1);
        }
        let mut gap_ms = 0;
        if let Some((last, gap_before)) = self.last {
            gap_ms = u64::try_from(question.at.since(last).as_millis()).unwrap_or(u64::MAX);
            if RHYTHM_MS.contains(&gap_ms) {
                day.gaps = day.gaps.saturating_add(1);
                if gap_ms.abs_diff(gap_before).saturating_mul(20) <= gap_ms {
                    day.even_gaps = day.even_gaps.saturating_add(1);
                }
            }
        }
        self.last = Some((question.at, gap_ms));
        self.compare(&question.commitment);
    }

    /// Whether another of the newest questions had this commitment.
    fn compare(&mut self, commitment: &[u8; 32]) {
        let beginning = commitment.first_chunk().copied().unwrap_or_default();
        let beginning = u64::from_be_bytes(beginning);
        if self.commitments.contains(&beginning) {
            self.day.reused = self.day.reused.saturating_add(1);
            return;
        }
        if self.commitments.len() >= COMMITMENTS_COMPARED {
            self.commitments.remove(0);
        }
        self.commitments.push(beginning);
    }
}
