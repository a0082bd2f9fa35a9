//! Amounts, terms and rates of real loans, from the extract in `assets/lendingclub`.

use super::WorkloadError;
use crate::domain::{Currency, Money, Product};

const EXTRACT: &str = include_str!("../../assets/lendingclub/loans.csv");
const HEADER: &str = "loan_amnt,term_months,int_rate_pct,installment,purpose,bad";

/// The terms of one real loan, issued from 2007 to 2011.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// What was lent.
    pub principal: Money,
    /// Agreed length in months: 36 or 60.
    pub months: u16,
    /// Annual rate in hundredths of a percent.
    pub apr_bps: u32,
    /// The monthly payment.
    pub instalment: Money,
    /// What kind of credit this project calls it, by its purpose.
    pub product: Product,
    /// Whether it was charged off in the end.
    pub bad: bool,
}

/// The terms of all loans of the extract, in its order.
///
/// # Errors
/// [`WorkloadError::Extract`] where the extract is not what its README says.
pub fn terms() -> Result<Vec<Terms>, WorkloadError> {
    let mut lines = EXTRACT.lines();
    if lines.next() != Some(HEADER) {
        return Err(WorkloadError::Extract { line: 1 });
    }
    let parsed = lines
        .zip(2..)
        .map(|(text, line)| row(text).ok_or(WorkloadError::Extract { line }));
    parsed.collect()
}

fn row(text: &str) -> Option<Terms> {
    let mut fields = text.split(',');
    let terms = Terms {
        principal: usd(fields.next()?)?,
        months: fields.next()?.parse().ok()?,
        apr_bps: u32::try_from(hundredths(fields.next()?)?).ok()?,
        instalment: usd(fields.next()?)?,
        product: product(fields.next()?),
        bad: fields.next()? == "1",
    };
    fields.next().is_none().then_some(terms)
}

fn usd(text: &str) -> Option<Money> {
    hundredths(text).map(|cents| Money::of(cents, Currency::USD))
}

/// `12.5` as 1,250.
fn hundredths(text: &str) -> Option<i64> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let decimals = match decimals.len() {
        0 => "00".to_owned(),
        1 => format!("{decimals}0"),
        2 => decimals.to_owned(),
        _ => return None,
    };
    format!("{whole}{decimals}").parse().ok()
}

fn product(purpose: &str) -> Product {
    match purpose {
        "small_business" => Product::MicroBusiness,
        "car" | "major_purchase" | "renewable_energy" => Product::ConsumerInstalment,
        _ => Product::InstalmentUnsecured,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extract_is_read_whole_and_has_the_figures_of_its_readme() {
        let all = terms().unwrap();
        assert_eq!(all.len(), 2_000);
        assert_eq!(all.iter().filter(|loan| loan.bad).count(), 305);
        assert_eq!(all.iter().filter(|loan| loan.months == 36).count(), 1_515);
        let mut principals: Vec<i64> = all.iter().map(|loan| loan.principal.minor).collect();
        principals.sort_unstable();
        assert_eq!(principals[0], 50_000);
        assert_eq!(principals[1_000], 932_500);
        assert_eq!(principals[1_999], 3_500_000);
        assert!(all.iter().all(|loan| (500..2_500).contains(&loan.apr_bps)));
    }

    #[test]
    fn hundredths_are_read_exactly() {
        assert_eq!(hundredths("12000"), Some(1_200_000));
        assert_eq!(hundredths("105.8"), Some(10_580));
        assert_eq!(hundredths("15.27"), Some(1_527));
        assert_eq!(hundredths("1.234"), None);
        assert_eq!(hundredths("x"), None);
    }
}
