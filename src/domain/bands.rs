//! Bands: what leaves a node of an amount is which band it lies in, never the amount.

use super::Currency;
use crate::limits::BAND_EDGES_MAX;

/// The edges do not make bands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBands {
    /// No edge, or more than fit.
    #[error("give 1 to {BAND_EDGES_MAX} band edges")]
    Number,
    /// An edge is zero, or not above the one before.
    #[error("band edges must be above zero and rise from one to the next")]
    Order,
}

/// The number of a band: 0 is "nothing", 1 is "up to the first edge", and so on; at most 15.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Band(u8);

impl Band {
    /// The band of the amount zero.
    pub const NOTHING: Self = Self(0);

    /// The band with this number, unless it is above 15.
    #[must_use]
    pub const fn of(number: u8) -> Option<Self> {
        if number <= 15 {
            Some(Self(number))
        } else {
            None
        }
    }

    /// The number, 0 to 15.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }
}

/// Amounts between two bounds, both included, in minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct AmountSpan {
    /// The least it can be.
    pub lo_minor: u64,
    /// The most it can be; `None` where nothing bounds it.
    pub hi_minor: Option<u64>,
}

impl AmountSpan {
    /// Exactly nothing.
    pub const ZERO: Self = Self {
        lo_minor: 0,
        hi_minor: Some(0),
    };

    /// Anything at all.
    pub const ANY: Self = Self {
        lo_minor: 0,
        hi_minor: None,
    };

    /// Exactly this amount.
    #[must_use]
    pub const fn exactly(minor: u64) -> Self {
        Self {
            lo_minor: minor,
            hi_minor: Some(minor),
        }
    }

    /// The sum of two amounts of which only spans are known.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            lo_minor: self.lo_minor.saturating_add(other.lo_minor),
            hi_minor: match (self.hi_minor, other.hi_minor) {
                (Some(a), Some(b)) => a.checked_add(b),
                (None, _) | (_, None) => None,
            },
        }
    }

    /// The same upper bound, and nothing certain.
    #[must_use]
    pub const fn possible(self) -> Self {
        Self {
            lo_minor: 0,
            hi_minor: self.hi_minor,
        }
    }

    /// The smaller of two upper bounds.
    #[must_use]
    pub fn hi_at_most(self, other: Option<u64>) -> Self {
        let hi_minor = match (self.hi_minor, other) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (bound, None) | (None, bound) => bound,
        };
        Self { hi_minor, ..self }
    }

    /// Whether `minor` lies within.
    #[must_use]
    pub fn contains(self, minor: u64) -> bool {
        self.lo_minor <= minor && self.hi_minor.is_none_or(|hi| minor <= hi)
    }
}

/// Upper edges of the bands of one kind of amount, in minor units, rising; the last band is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BandEdges(Vec<u64>);

impl BandEdges {
    /// The bands with these upper edges, in minor units.
    ///
    /// # Errors
    /// [`InvalidBands`] where there are none or too many, or they do not rise from above zero.
    pub fn of(edges_minor: Vec<u64>) -> Result<Self, InvalidBands> {
        if edges_minor.is_empty() || edges_minor.len() > BAND_EDGES_MAX {
            return Err(InvalidBands::Number);
        }
        let mut before = 0;
        for &edge in &edges_minor {
            if edge <= before {
                return Err(InvalidBands::Order);
            }
            before = edge;
        }
        Ok(Self(edges_minor))
    }

    /// The band that an amount lies in; a negative amount is nothing.
    #[must_use]
    pub fn band(&self, amount_minor: i64) -> Band {
        let amount = u64::try_from(amount_minor).unwrap_or(0);
        if amount == 0 {
            return Band::NOTHING;
        }
        let below = self.0.iter().filter(|&&edge| edge < amount).count();
        Band(u8::try_from(below + 1).unwrap_or(15).min(15))
    }

    /// The amounts of a band. A band past the last one stands for everything above the last edge.
    #[must_use]
    pub fn span(&self, band: Band) -> AmountSpan {
        let Some(above) = band.0.checked_sub(1).map(usize::from) else {
            return AmountSpan::ZERO;
        };
        let last = self.0.last().copied().unwrap_or(0);
        let edge_before = match above.checked_sub(1) {
            None => 0,
            Some(before) => self.0.get(before).copied().unwrap_or(last),
        };
        AmountSpan {
            lo_minor: edge_before.saturating_add(1),
            hi_minor: self.0.get(above).copied(),
        }
    }

    /// The edges, rising, in minor units.
    #[must_use]
    pub fn edges_minor(&self) -> &[u64] {
        &self.0
    }
}

/// The bands of one network: every member publishes and reads with the same ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bands {
    /// The currency of both kinds of edges.
    pub currency: Currency,
    /// Bands of what a borrower owes.
    pub exposure: BandEdges,
    /// Bands of what a borrower pays a month.
    pub instalment: BandEdges,
}

impl Bands {
    /// The bands of a network whose terms name these exposure edges, in minor units.
    ///
    /// Monthly instalments have edges a tenth as high, rounded up.
    ///
    /// # Errors
    /// [`InvalidBands`] where there are no edges or too many, or they do not rise from above zero.
    pub fn of(currency: Currency, exposure_edges_minor: &[i64]) -> Result<Self, InvalidBands> {
        let edges = exposure_edges_minor
            .iter()
            .map(|edge| u64::try_from(*edge).map_err(|_| InvalidBands::Order))
            .collect::<Result<Vec<u64>, _>>()?;
        let mut tenths: Vec<u64> = Vec::with_capacity(edges.len());
        for edge in &edges {
            let above = tenths.last().copied().unwrap_or(0).saturating_add(1);
            tenths.push(edge.div_ceil(10).max(above));
        }
        Ok(Self {
            currency,
            exposure: BandEdges::of(edges)?,
            instalment: BandEdges::of(tenths)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn edges() -> BandEdges {
        BandEdges::of(vec![100, 300, 500]).unwrap()
    }

    #[test]
    fn edges_are_the_last_amounts_of_their_band() {
        for (amount, number) in [
            (-5, 0),
            (0, 0),
            (1, 1),
            (100, 1),
            (101, 2),
            (500, 3),
            (501, 4),
            (i64::MAX, 4),
        ] {
            assert_eq!(edges().band(amount).number(), number, "{amount}");
        }
    }

    #[test]
    fn edges_that_do_not_rise_are_refused() {
        assert_eq!(BandEdges::of(vec![]), Err(InvalidBands::Number));
        assert_eq!(BandEdges::of(vec![1; 15]), Err(InvalidBands::Number));
        assert_eq!(BandEdges::of(vec![0, 1]), Err(InvalidBands::Order));
        assert_eq!(BandEdges::of(vec![2, 2]), Err(InvalidBands::Order));
    }

    #[test]
    fn instalments_have_a_tenth_of_the_edges() {
        let bands = Bands::of(Currency::CNY, &[1, 5, 100_000, 300_001]).unwrap();
        assert_eq!(bands.instalment.edges_minor(), [1, 2, 10_000, 30_001]);
        assert_eq!(Bands::of(Currency::CNY, &[-1, 5]), Err(InvalidBands::Order));
    }

    #[test]
    fn a_band_past_the_last_is_open() {
        let top = edges().span(Band::of(4).unwrap());
        assert_eq!(edges().span(Band::of(15).unwrap()), top);
        assert_eq!((top.lo_minor, top.hi_minor), (501, None));
    }

    proptest! {
        #[test]
        fn every_amount_lies_in_the_span_of_its_band(amount in 0_i64..1_000) {
            let span = edges().span(edges().band(amount));
            prop_assert!(span.contains(u64::try_from(amount).unwrap()));
        }
    }
}
