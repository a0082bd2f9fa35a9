//! The 120 bytes of a summary. One value has one encoding, and nothing else decodes.

use super::{
    ApplicationMark, ApplicationStage, DayMark, GroupCode, HoldMark, HourMark, LastArrears,
    LoanLink, LoanMark, LoanStage, Marks, SignalMark, SignalSet, Summary, Tally, Unlisted,
};
use crate::domain::{Band, Level};
use crate::limits::{
    SUMMARY_APPLICATIONS_MAX, SUMMARY_BYTES, SUMMARY_HOLDS_MAX, SUMMARY_LOANS_MAX,
};

/// The version that tells nothing of other identifiers.
const VERSION_1: u8 = 1;
/// The version that is written now.
const VERSION_2: u8 = 2;

const MORE_APPLICATIONS: u8 = 1;
const MORE_LOANS: u8 = 1 << 1;
const MORE_HOLDS: u8 = 1 << 2;
const MORE_LINKS: u8 = 1 << 3;
const CURRENCY_MISMATCH: u8 = 1 << 4;
const DISPUTED: u8 = 1 << 5;
const DEFAULTS_ONLY: u8 = 1 << 6;

const LOAN_DISPUTED: u8 = 1;
const LOAN_LINK_LISTED: u8 = 1 << 1;
const LOAN_LINK_UNLISTED: u8 = 1 << 2;

/// The bytes are not a summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MalformedSummary {
    /// Another format version.
    #[error("summary of version {0}; this node reads versions 1 and 2, so update it")]
    Version(u8),
    /// A stage number that does not exist.
    #[error("summary with an unknown stage; its publisher is faulty")]
    Stage,
    /// A reserved bit is set, or two fields contradict each other.
    #[error("summary not in its one valid encoding; its publisher is faulty")]
    NotCanonical,
}

impl Summary {
    /// The summary in its one encoding.
    #[must_use]
    pub fn encode(&self) -> [u8; SUMMARY_BYTES] {
        let mut out = Writer::default();
        let version = self.others_90d.map_or(VERSION_1, |_| VERSION_2);
        out.bytes([version, self.flags()]);
        out.hour(self.as_of, self.others_90d.map_or(0, |tally| tally.0));
        for slot in 0..SUMMARY_APPLICATIONS_MAX {
            out.application(self.applications.as_slice().get(slot));
        }
        for slot in 0..SUMMARY_LOANS_MAX {
            out.loan(self.loans.as_slice().get(slot));
        }
        for slot in 0..SUMMARY_HOLDS_MAX {
            out.hold(self.holds.as_slice().get(slot));
        }
        let unlisted = self.unlisted;
        for (high, low) in unlisted.pairs() {
            out.nibbles(high.0, low.0);
        }
        out.hour(unlisted.signed_latest, unlisted.signed_groups.0);
        out.nibbles(self.exposure.number(), self.instalment.number());
        for day in [
            self.last_arrears.d30,
            self.last_arrears.d60,
            self.last_arrears.d90,
        ] {
            out.bytes(day.map_or(0, |mark| mark.0).to_be_bytes());
        }
        out.bytes(self.signals.0.to_be_bytes());
        out.bytes(self.source.0);
        out.bytes(self.cured_on.map_or(0, |mark| mark.0).to_be_bytes());
        out.bytes(self.link.unwrap_or_default());
        out.bytes([self.unlisted_links]);
        out.bytes
    }

    /// Reads a summary.
    ///
    /// # Errors
    /// [`MalformedSummary`] for another version, an unknown stage, a reserved bit that is set, or
    /// anything else that [`Summary::encode`] does not write.
    pub fn decode(bytes: &[u8; SUMMARY_BYTES]) -> Result<Self, MalformedSummary> {
        let mut from = Reader { bytes, at: 0 };
        let [version, flags] = from.bytes();
        let (as_of, others) = from.hour();
        let others_90d = match version {
            VERSION_1 => None,
            VERSION_2 => Some(Tally(others)),
            version => return Err(MalformedSummary::Version(version)),
        };
        let applications = from.slots(SUMMARY_APPLICATIONS_MAX, Reader::application)?;
        let loans = from.slots(SUMMARY_LOANS_MAX, Reader::loan)?;
        let holds = from.slots(SUMMARY_HOLDS_MAX, |from| Ok(from.hold()))?;
        let unlisted = from.unlisted();
        let (exposure, instalment) = from.bands();
        let [d30, d60, d90] = [from.day(), from.day(), from.day()];
        let summary = Self {
            level: if flags & DEFAULTS_ONLY == 0 {
                Level::Full
            } else {
                Level::Defaults
            },
            as_of,
            applications: Marks::of(applications),
            loans: Marks::of(loans),
            holds: Marks::of(holds),
            unlisted,
            exposure,
            instalment,
            last_arrears: LastArrears { d30, d60, d90 },
            signals: SignalSet(u16::from_be_bytes(from.bytes())),
            source: GroupCode(from.bytes()),
            cured_on: from.day(),
            link: Some(from.bytes()).filter(|link| *link != [0; 8]),
            unlisted_links: u8::from_be_bytes(from.bytes()),
            currency_mismatch: flags & CURRENCY_MISMATCH != 0,
            disputed: flags & DISPUTED != 0,
            others_90d,
        };
        if summary.is_sound() && summary.encode() == *bytes {
            Ok(summary)
        } else {
            Err(MalformedSummary::NotCanonical)
        }
    }

    /// The relations between fields that the encoding does not hold by itself.
    fn is_sound(&self) -> bool {
        let known = (1_u32 << SignalMark::ALL.len()) - 1;
        let groups = self.loans.as_slice().iter().map(|mark| mark.group);
        let applicants = self.applications.as_slice().iter().map(|mark| mark.group);
        let holders = self.holds.as_slice().iter().map(|mark| mark.group);
        let mut groups = groups.chain(applicants).chain(holders);
        let listed = |mark: &LoanMark| mark.link == LoanLink::Listed;
        u32::from(self.signals.0) & !known == 0
            && groups.all(|group| group != GroupCode::SEVERAL)
            && (self.link.is_some() || !self.loans.as_slice().iter().any(listed))
            && (!self.unlisted.signed_groups.is_zero()
                || self.unlisted.signed_latest == HourMark::default())
            && (self.tells_of_source() || self.source == GroupCode::OWN)
    }

    fn tells_of_source(&self) -> bool {
        !self.signals.is_empty()
            || self.cured_on.is_some()
            || self.last_arrears != LastArrears::default()
    }

    fn flags(&self) -> u8 {
        let unlisted = self.unlisted;
        let loans = [
            unlisted.active_loans,
            unlisted.active_groups,
            unlisted.default_groups,
            unlisted.delinquent_groups,
            unlisted.delinquent_60_groups,
            unlisted.signed_groups,
        ];
        let bits = [
            (
                MORE_APPLICATIONS,
                !unlisted.hard.is_zero() || !unlisted.soft.is_zero(),
            ),
            (MORE_LOANS, loans.iter().any(|tally| !tally.is_zero())),
            (MORE_HOLDS, !unlisted.holds.is_zero()),
            (MORE_LINKS, self.unlisted_links > 0),
            (CURRENCY_MISMATCH, self.currency_mismatch),
            (DISPUTED, self.disputed),
            (DEFAULTS_ONLY, self.level == Level::Defaults),
        ];
        bits.iter()
            .filter(|(_, set)| *set)
            .fold(0, |flags, (bit, _)| flags | bit)
    }
}

impl Unlisted {
    const fn pairs(self) -> [(Tally, Tally); 4] {
        [
            (self.hard, self.soft),
            (self.holds, self.active_loans),
            (self.active_groups, self.default_groups),
            (self.delinquent_groups, self.delinquent_60_groups),
        ]
    }
}

/// Number of a word in its list, from 1; 0 is kept for an empty slot.
fn number_of<T: PartialEq>(all: &[T], value: &T) -> u8 {
    let place = all.iter().position(|one| one == value).unwrap_or(0);
    u8::try_from(place + 1).unwrap_or(0)
}

fn numbered<T: Copy>(all: &[T], number: u8) -> Result<T, MalformedSummary> {
    usize::from(number)
        .checked_sub(1)
        .and_then(|place| all.get(place).copied())
        .ok_or(MalformedSummary::Stage)
}

struct Writer {
    bytes: [u8; SUMMARY_BYTES],
    at: usize,
}

impl Default for Writer {
    fn default() -> Self {
        Self {
            bytes: [0; SUMMARY_BYTES],
            at: 0,
        }
    }
}

impl Writer {
    fn bytes<const N: usize>(&mut self, field: [u8; N]) {
        if let Some(place) = self.bytes.get_mut(self.at..self.at + N) {
            place.copy_from_slice(&field);
        }
        self.at += N;
    }

    fn nibbles(&mut self, high: u8, low: u8) {
        self.bytes([(high << 4) | (low & 0x0f)]);
    }

    fn hour(&mut self, hour: HourMark, nibble: u8) {
        let [_, a, b, c] = ((hour.0 << 4) | u32::from(nibble & 0x0f)).to_be_bytes();
        self.bytes([a, b, c]);
    }

    fn application(&mut self, mark: Option<&ApplicationMark>) {
        let Some(mark) = mark else {
            return self.bytes([0; 6]);
        };
        self.hour(mark.at, number_of(ApplicationStage::ALL, &mark.stage));
        self.bytes(mark.group.0);
    }

    fn loan(&mut self, mark: Option<&LoanMark>) {
        let Some(mark) = mark else {
            return self.bytes([0; 7]);
        };
        let link = match mark.link {
            LoanLink::None => 0,
            LoanLink::Listed => LOAN_LINK_LISTED,
            LoanLink::Unlisted => LOAN_LINK_UNLISTED,
        };
        let disputed = if mark.disputed { LOAN_DISPUTED } else { 0 };
        self.hour(mark.signed, number_of(LoanStage::ALL, &mark.stage));
        self.nibbles(mark.outstanding.number(), link | disputed);
        self.bytes(mark.group.0);
    }

    fn hold(&mut self, mark: Option<&HoldMark>) {
        let Some(mark) = mark else {
            return self.bytes([0; 7]);
        };
        self.hour(mark.signed, mark.amount.number());
        self.bytes([mark.ttl_hours.saturating_add(1)]);
        self.bytes(mark.group.0);
    }
}

struct Reader<'a> {
    bytes: &'a [u8; SUMMARY_BYTES],
    at: usize,
}

impl Reader<'_> {
    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let field = self.bytes.get(self.at..self.at + N);
        self.at += N;
        field
            .and_then(|field| field.try_into().ok())
            .unwrap_or([0; N])
    }

    fn nibbles(&mut self) -> (u8, u8) {
        let [both] = self.bytes();
        (both >> 4, both & 0x0f)
    }

    fn hour(&mut self) -> (HourMark, u8) {
        let [a, b, c] = self.bytes();
        let hour = u32::from_be_bytes([0, a, b, c]) >> 4;
        (HourMark(hour), c & 0x0f)
    }

    fn day(&mut self) -> Option<DayMark> {
        match u16::from_be_bytes(self.bytes()) {
            0 => None,
            days => Some(DayMark(days)),
        }
    }

    fn bands(&mut self) -> (Band, Band) {
        let (high, low) = self.nibbles();
        let band = |number| Band::of(number).unwrap_or_default();
        (band(high), band(low))
    }

    /// The filled slots. An empty one before a filled one does not encode back to the same bytes.
    fn slots<T>(
        &mut self,
        slots: usize,
        read: impl Fn(&mut Self) -> Result<Option<T>, MalformedSummary>,
    ) -> Result<Vec<T>, MalformedSummary> {
        let mut filled = Vec::with_capacity(slots);
        for _ in 0..slots {
            filled.extend(read(self)?);
        }
        Ok(filled)
    }

    fn application(&mut self) -> Result<Option<ApplicationMark>, MalformedSummary> {
        let (at, stage) = self.hour();
        let group = GroupCode(self.bytes());
        if stage == 0 {
            return Ok(None);
        }
        let stage = numbered(ApplicationStage::ALL, stage)?;
        Ok(Some(ApplicationMark { at, stage, group }))
    }

    fn loan(&mut self) -> Result<Option<LoanMark>, MalformedSummary> {
        let (signed, stage) = self.hour();
        let (band, bits) = self.nibbles();
        let group = GroupCode(self.bytes());
        if stage == 0 {
            return Ok(None);
        }
        Ok(Some(LoanMark {
            signed,
            stage: numbered(LoanStage::ALL, stage)?,
            outstanding: Band::of(band).unwrap_or_default(),
            disputed: bits & LOAN_DISPUTED != 0,
            link: if bits & LOAN_LINK_LISTED != 0 {
                LoanLink::Listed
            } else if bits & LOAN_LINK_UNLISTED != 0 {
                LoanLink::Unlisted
            } else {
                LoanLink::None
            },
            group,
        }))
    }

    fn hold(&mut self) -> Option<HoldMark> {
        let (signed, amount) = self.hour();
        let [stored_hours] = self.bytes();
        let group = GroupCode(self.bytes());
        let ttl_hours = stored_hours.checked_sub(1)?;
        Some(HoldMark {
            signed,
            ttl_hours,
            amount: Band::of(amount).unwrap_or_default(),
            group,
        })
    }

    fn unlisted(&mut self) -> Unlisted {
        let tallies = |(high, low): (u8, u8)| (Tally(high), Tally(low));
        let (hard, soft) = tallies(self.nibbles());
        let (holds, active_loans) = tallies(self.nibbles());
        let (active_groups, default_groups) = tallies(self.nibbles());
        let (delinquent_groups, delinquent_60_groups) = tallies(self.nibbles());
        let (signed_latest, signed_groups) = self.hour();
        Unlisted {
            hard,
            soft,
            holds,
            active_loans,
            active_groups,
            default_groups,
            delinquent_groups,
            delinquent_60_groups,
            signed_groups: Tally(signed_groups),
            signed_latest,
        }
    }
}

#[cfg(test)]
mod tests;
