//! Money: whole minor units of one ISO 4217 currency, with checked arithmetic.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

pub use iso_currency::Currency;

use crate::limits::MONEY_MINOR_MAX;

/// Why text is not an amount, or two amounts do not go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Not a decimal number, a space and a currency code.
    #[error("not an amount: write it as 1234.50 USD")]
    Shape,
    /// No ISO 4217 code, or one without minor units (such as gold).
    #[error("unknown currency: use an ISO 4217 code in capitals, such as CNY, INR or USD")]
    Currency,
    /// More decimals than the currency has minor units.
    #[error("too many decimals for this currency: round to its smallest unit")]
    Decimals,
    /// Beyond [`MONEY_MINOR_MAX`] minor units.
    #[error("amount out of range: at most {MONEY_MINOR_MAX} minor units are accepted")]
    Range,
    /// The two amounts have different currencies.
    #[error("amounts in different currencies: convert them to one currency first")]
    CurrencyMismatch,
}

/// An amount of money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Money {
    /// Whole minor units (cents, fen, paise; units where the currency has no decimals).
    pub minor: i64,
    /// The ISO 4217 currency.
    pub currency: Currency,
}

impl Money {
    /// The amount of `minor` minor units of `currency`.
    #[must_use]
    pub const fn of(minor: i64, currency: Currency) -> Self {
        Self { minor, currency }
    }

    /// Nothing, in `currency`.
    #[must_use]
    pub const fn zero(currency: Currency) -> Self {
        Self::of(0, currency)
    }

    /// Whether the amount is zero.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.minor == 0
    }

    /// The sum.
    ///
    /// # Errors
    /// [`MoneyError::CurrencyMismatch`] for two currencies, [`MoneyError::Range`] on overflow.
    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        self.same_currency(other)?;
        let minor = self
            .minor
            .checked_add(other.minor)
            .ok_or(MoneyError::Range)?;
        Ok(Self::of(minor, self.currency))
    }

    /// The difference, which may be negative.
    ///
    /// # Errors
    /// [`MoneyError::CurrencyMismatch`] for two currencies, [`MoneyError::Range`] on overflow.
    pub fn checked_sub(self, other: Self) -> Result<Self, MoneyError> {
        self.same_currency(other)?;
        let minor = self
            .minor
            .checked_sub(other.minor)
            .ok_or(MoneyError::Range)?;
        Ok(Self::of(minor, self.currency))
    }

    /// `percent` hundredths of the amount, rounded towards zero.
    ///
    /// # Errors
    /// [`MoneyError::Range`] where the result does not fit.
    pub fn percent(self, percent: u32) -> Result<Self, MoneyError> {
        let scaled = i128::from(self.minor) * i128::from(percent) / 100;
        let minor = i64::try_from(scaled).map_err(|_| MoneyError::Range)?;
        Ok(Self::of(minor, self.currency))
    }

    /// The order of two amounts of one currency.
    ///
    /// # Errors
    /// [`MoneyError::CurrencyMismatch`] for two currencies.
    pub fn compare(self, other: Self) -> Result<Ordering, MoneyError> {
        self.same_currency(other)?;
        Ok(self.minor.cmp(&other.minor))
    }

    fn same_currency(self, other: Self) -> Result<(), MoneyError> {
        if self.currency == other.currency {
            Ok(())
        } else {
            Err(MoneyError::CurrencyMismatch)
        }
    }
}

/// Decimals of a currency's minor unit (ISO 4217 exponent); 0 where ISO gives none.
fn exponent(currency: Currency) -> usize {
    usize::from(currency.exponent().unwrap_or(0))
}

impl FromStr for Money {
    type Err = MoneyError;

    /// Reads `1234.50 USD`: an optional minus, digits, at most as many decimals as the currency
    /// has, one space, the code.
    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let (number, code) = text.split_once(' ').ok_or(MoneyError::Shape)?;
        let currency = Currency::from_code(code).ok_or(MoneyError::Currency)?;
        let places = usize::from(currency.exponent().ok_or(MoneyError::Currency)?);
        let (negative, number) = number
            .strip_prefix('-')
            .map_or((false, number), |rest| (true, rest));
        let (whole, decimals) = match number.split_once('.') {
            Some((_, "")) => return Err(MoneyError::Shape),
            Some(parts) => parts,
            None => (number, ""),
        };
        let digits_only = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !digits_only(whole) || !digits_only(decimals) {
            return Err(MoneyError::Shape);
        }
        if decimals.len() > places {
            return Err(MoneyError::Decimals);
        }
        let digits = format!("{whole}{decimals:0<places$}");
        let minor: i64 = digits.parse().map_err(|_| MoneyError::Range)?;
        if minor > MONEY_MINOR_MAX {
            return Err(MoneyError::Range);
        }
        Ok(Self::of(if negative { -minor } else { minor }, currency))
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = exponent(self.currency);
        let sign = if self.minor < 0 { "-" } else { "" };
        let digits = format!("{:0>1$}", self.minor.unsigned_abs(), places + 1);
        let (whole, decimals) = digits.split_at(digits.len() - places);
        let point = if places == 0 { "" } else { "." };
        write!(f, "{sign}{whole}{point}{decimals} {}", self.currency.code())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn amounts_follow_the_decimals_of_their_currency() {
        for (text, minor, canonical) in [
            ("1234.50 USD", 123_450, "1234.50 USD"),
            ("1234.5 USD", 123_450, "1234.50 USD"),
            ("1234 USD", 123_400, "1234.00 USD"),
            ("0.05 CNY", 5, "0.05 CNY"),
            ("007 INR", 700, "7.00 INR"),
            ("1500 JPY", 1_500, "1500 JPY"),
            ("1.234 KWD", 1_234, "1.234 KWD"),
            ("-2.05 EUR", -205, "-2.05 EUR"),
        ] {
            let money: Money = text.parse().unwrap();
            assert_eq!(money.minor, minor, "{text}");
            assert_eq!(money.to_string(), canonical);
        }
    }

    #[test]
    fn malformed_amounts_name_the_rule() {
        for (text, error) in [
            ("1234.50", MoneyError::Shape),
            ("1,234.50 USD", MoneyError::Shape),
            ("1234. USD", MoneyError::Shape),
            (".50 USD", MoneyError::Shape),
            ("1e3 USD", MoneyError::Shape),
            ("+1 USD", MoneyError::Shape),
            ("--1 USD", MoneyError::Shape),
            (" USD", MoneyError::Shape),
            ("1234.50  USD", MoneyError::Currency),
            ("1234.50 usd", MoneyError::Currency),
            ("1 XAU", MoneyError::Currency),
            ("1.005 USD", MoneyError::Decimals),
            ("1.5 JPY", MoneyError::Decimals),
            ("99999999999999999999 USD", MoneyError::Range),
            ("10000000000000.01 USD", MoneyError::Range),
        ] {
            assert_eq!(text.parse::<Money>(), Err(error), "{text}");
        }
    }

    #[test]
    fn arithmetic_refuses_overflow_and_mixed_currencies() {
        let usd = Money::of(i64::MAX, Currency::USD);
        assert_eq!(usd.checked_add(usd), Err(MoneyError::Range));
        assert_eq!(usd.percent(200), Err(MoneyError::Range));
        assert_eq!(
            usd.checked_sub(Money::zero(Currency::CNY)),
            Err(MoneyError::CurrencyMismatch)
        );
        assert_eq!(
            usd.checked_sub(usd).map(Money::is_zero),
            Ok(true),
            "a difference of equals is zero"
        );
    }

    proptest! {
        #[test]
        fn text_round_trips(minor in -MONEY_MINOR_MAX..=MONEY_MINOR_MAX, which in 0_usize..4) {
            let currencies = [Currency::USD, Currency::JPY, Currency::KWD, Currency::CNY];
            let money = Money::of(minor, currencies[which]);
            prop_assert_eq!(money.to_string().parse::<Money>(), Ok(money));
        }
    }
}
