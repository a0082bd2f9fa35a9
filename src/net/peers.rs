//! One channel per member, with a breaker: calls that end by their deadline and are tried again
//! once.

use std::collections::BTreeMap;
use std::error::Error as Cause;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::timeout;
use tonic::{Code, Status};

use super::dial::DialError;
use super::transport::{PeerChannel, Transport};
use crate::domain::MemberId;
use crate::env::Clock;
use crate::limits::{
    BREAKER_FAILURES, BREAKER_PAUSE_MAX, BREAKER_PAUSE_MIN, PEER_MESSAGE_CHARS_MAX,
};
use crate::membership::Member;

/// Why a call to a peer gave no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CallError {
    /// It failed several times in a row, so it is left alone for a moment.
    #[error(
        "{member} failed several times in a row and is asked again in {} ms; the last time: \
         {reason}",
        pause.as_millis()
    )]
    Paused {
        /// Who.
        member: MemberId,
        /// How long it is left alone yet.
        pause: Duration,
        /// Why the last call failed.
        reason: String,
    },
    /// It did not answer in time.
    #[error("{member} did not answer within {} ms", deadline.as_millis())]
    Late {
        /// Who.
        member: MemberId,
        /// The time that it had.
        deadline: Duration,
    },
    /// There is no connection, for the reason that is given.
    #[error(transparent)]
    Unreachable(DialError),
    /// It answered with a status.
    #[error("{member} answered {:?}: {}", status.code(), said(status))]
    Status {
        /// Who.
        member: MemberId,
        /// What it answered.
        status: Status,
    },
}

/// The channels to all members, one each.
#[derive(Debug)]
pub struct Peers {
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
    lines: Mutex<BTreeMap<MemberId, Arc<Line>>>,
}

#[derive(Debug)]
struct Line {
    channel: PeerChannel,
    breaker: Mutex<Breaker>,
}

impl Peers {
    /// No channels yet.
    #[must_use]
    pub const fn new(transport: Arc<dyn Transport>, clock: Arc<dyn Clock>) -> Self {
        Self {
            transport,
            clock,
            lines: Mutex::new(BTreeMap::new()),
        }
    }

    /// The channel to this member, for calls that keep their own deadline (streams).
    #[must_use]
    pub fn channel(&self, peer: &Member) -> PeerChannel {
        self.line(peer).channel.clone()
    }

    /// Forgets the channels of all who are not in `keep`.
    pub fn retain(&self, keep: impl Fn(&MemberId) -> bool) {
        lock(&self.lines).retain(|member, _| keep(member));
    }

    /// Makes one call, which ends within `deadline` whatever happens. A call that met a closing
    /// connection is made once more; so is one that waited for half the deadline, where another
    /// endpoint of the member may answer. It must be idempotent.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn call<T, F, Fut>(
        &self,
        peer: &Member,
        deadline: Duration,
        make: F,
    ) -> Result<T, CallError>
    where
        F: Fn(PeerChannel) -> Fut + Send + Sync,
        Fut: Future<Output = Result<T, Status>> + Send,
    {
        let line = self.line(peer);
        let member = peer.id.clone();
        if let Some((pause, reason)) = lock(&line.breaker).pause(self.clock.uptime()) {
            return Err(CallError::Paused {
                member,
                pause,
                reason,
            });
        }
        let channel = line.channel.clone();
        let has_others = peer.endpoints.len() > 1;
        let patience = if has_others { deadline / 2 } else { deadline };
        let tries = async {
            match timeout(patience, make(channel.clone())).await {
                Ok(Err(status)) if is_broken_connection(&status) => make(channel).await,
                Ok(other) => other,
                Err(_) => make(channel).await,
            }
        };
        let outcome = match timeout(deadline, tries).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(status)) => Err(match dial_error(&status) {
                Some(error) => CallError::Unreachable(error.clone()),
                None => CallError::Status { member, status },
            }),
            Err(_) => Err(CallError::Late { member, deadline }),
        };
        let failure = match &outcome {
            Ok(_) => None,
            Err(CallError::Status { status, .. }) if status.code() != Code::Unavailable => None,
            Err(error @ CallError::Unreachable(_)) => Some(error.to_string()),
            Err(error) => Some(format!("{error} (at {})", peer.endpoints.join(" "))),
        };
        lock(&line.breaker).note(failure, self.clock.uptime());
        outcome
    }

    fn line(&self, peer: &Member) -> Arc<Line> {
        let mut lines = lock(&self.lines);
        let line = lines.entry(peer.id.clone()).or_insert_with(|| {
            Arc::new(Line {
                channel: self.transport.channel(peer),
                breaker: Mutex::new(Breaker::default()),
            })
        });
        Arc::clone(line)
    }
}

/// What a peer said in a status, fit for a log and a terminal: nothing but one line of printable
/// characters, cut where it is long.
#[must_use]
pub(super) fn said(status: &Status) -> String {
    let printable = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    let message = status.message().chars().map(printable);
    message.take(PEER_MESSAGE_CHARS_MAX).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn causes(status: &Status) -> impl Iterator<Item = &(dyn Cause + 'static)> {
    fn cause<'a>(error: &&'a (dyn Cause + 'static)) -> Option<&'a (dyn Cause + 'static)> {
        (**error).source()
    }
    std::iter::successors(status.source(), cause)
}

/// The reason why there is no connection, where that is why a call failed.
#[must_use]
pub fn dial_error(status: &Status) -> Option<&DialError> {
    causes(status).find_map(|error| error.downcast_ref())
}

/// Whether the call met a connection that ended: the peer may not have seen it.
fn is_broken_connection(status: &Status) -> bool {
    dial_error(status).is_none()
        && causes(status).any(|error| error.is::<tonic::transport::Error>())
}

/// Leaves a peer alone after several failures in a row: for a moment, then twice as long, up to a
/// bound. After each pause one call is let through.
#[derive(Debug, Default)]
struct Breaker {
    failures: u32,
    /// By the uptime.
    until: Option<Duration>,
    /// Why the last call failed.
    reason: String,
}

impl Breaker {
    fn pause(&mut self, now: Duration) -> Option<(Duration, String)> {
        let until = self.until?;
        if now >= until {
            // The probe: others wait for its outcome, at most one more short pause.
            self.until = Some(now.saturating_add(BREAKER_PAUSE_MIN));
            return None;
        }
        Some((until.saturating_sub(now), self.reason.clone()))
    }

    fn note(&mut self, failure: Option<String>, now: Duration) {
        let Some(reason) = failure else {
            *self = Self::default();
            return;
        };
        self.reason = reason;
        self.failures = self.failures.saturating_add(1);
        if self.failures >= BREAKER_FAILURES {
            let doublings = (self.failures - BREAKER_FAILURES).min(16);
            let pause = BREAKER_PAUSE_MIN
                .saturating_mul(1 << doublings)
                .min(BREAKER_PAUSE_MAX);
            self.until = Some(now.saturating_add(pause));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_fails_is_left_alone_longer_and_longer() {
        let mut breaker = Breaker::default();
        let mut now = Duration::ZERO;
        for _ in 0..BREAKER_FAILURES {
            assert_eq!(breaker.pause(now), None);
            breaker.note(Some("late".to_owned()), now);
        }
        assert_eq!(
            breaker.pause(now),
            Some((BREAKER_PAUSE_MIN, "late".to_owned()))
        );
        now += BREAKER_PAUSE_MIN;
        assert_eq!(breaker.pause(now), None, "the probe");
        assert!(breaker.pause(now).is_some(), "only one probe");
        breaker.note(Some("late".to_owned()), now);
        assert_eq!(breaker.pause(now).unwrap().0, BREAKER_PAUSE_MIN * 2);
        for _ in 0..100 {
            breaker.note(Some("late".to_owned()), now);
        }
        assert_eq!(breaker.pause(now).unwrap().0, BREAKER_PAUSE_MAX);
    }

    #[test]
    fn what_a_peer_says_cannot_forge_a_line_of_the_log() {
        let status = Status::internal("a\nERROR forged \u{1b}[31m".to_owned() + &"x".repeat(9_999));
        let said = said(&status);
        assert!(!said.contains('\n') && !said.contains('\u{1b}'), "{said}");
        assert_eq!(said.chars().count(), PEER_MESSAGE_CHARS_MAX);
    }

    #[test]
    fn one_answer_forgives_all_failures() {
        let mut breaker = Breaker::default();
        let now = Duration::ZERO;
        for _ in 0..BREAKER_FAILURES {
            breaker.note(Some("late".to_owned()), now);
        }
        breaker.note(None, now);
        assert_eq!(breaker.pause(now), None);
    }
}
