//! Signed monthly counts in and out: `proto/creditmesh/v1/standing.proto`.

use super::{Malformed, pb};
use crate::domain::{Month, MonthlyCounts, RetractionReason};
use crate::limits::MONTHS_STATED_MAX;
use crate::membership::MonthlyStatement;

impl From<MonthlyStatement> for pb::MonthlyStatement {
    fn from(statement: MonthlyStatement) -> Self {
        let counts = statement.counts;
        Self {
            month: statement.month.number(),
            accounts: counts.accounts,
            default_filings: counts.default_filings,
            retracted: counts.retracted.to_vec(),
            disputes_upheld: counts.disputes_upheld,
            disputes_rejected: counts.disputes_rejected,
            signature: statement.signature.to_vec().into(),
        }
    }
}

impl TryFrom<pb::MonthlyStatement> for MonthlyStatement {
    type Error = Malformed;

    fn try_from(message: pb::MonthlyStatement) -> Result<Self, Malformed> {
        let retracted: [u32; RetractionReason::ALL.len()] = message
            .retracted
            .try_into()
            .map_err(|_| Malformed::new("retracted", "must be exactly 6 counts"))?;
        let signature = <[u8; 64]>::try_from(&*message.signature)
            .map_err(|_| Malformed::new("signature", "must be 64 bytes"))?;
        Ok(Self {
            month: Month::from_number(message.month),
            counts: MonthlyCounts {
                accounts: message.accounts,
                default_filings: message.default_filings,
                retracted,
                disputes_upheld: message.disputes_upheld,
                disputes_rejected: message.disputes_rejected,
            },
            signature,
        })
    }
}

/// The statements of an answer.
///
/// # Errors
/// [`Malformed`] where there are more than a member may state, or one is not as it should be.
pub fn monthly_statements(
    message: pb::MonthlyCountsResponse,
) -> Result<Vec<MonthlyStatement>, Malformed> {
    if message.statements.len() > MONTHS_STATED_MAX {
        let reason = format!("must be at most {MONTHS_STATED_MAX} statements");
        return Err(Malformed::new("statements", reason));
    }
    let statements = message.statements.into_iter();
    statements.map(MonthlyStatement::try_from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement() -> MonthlyStatement {
        MonthlyStatement {
            month: Month::parse("2026-02").unwrap(),
            counts: MonthlyCounts::from_numbers([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
            signature: [7; 64],
        }
    }

    #[test]
    fn a_statement_survives_the_wire() {
        let message = pb::MonthlyStatement::from(statement());
        assert_eq!(MonthlyStatement::try_from(message).unwrap(), statement());
    }

    #[test]
    fn wrong_lengths_are_refused_by_name() {
        let good = pb::MonthlyStatement::from(statement());
        let mut short = good.clone();
        short.signature = vec![0; 63].into();
        let refused = MonthlyStatement::try_from(short).unwrap_err();
        assert!(refused.to_string().contains("signature"), "{refused}");
        let mut few = good.clone();
        few.retracted.pop();
        assert!(MonthlyStatement::try_from(few).is_err());
        let many = pb::MonthlyCountsResponse {
            statements: vec![good; MONTHS_STATED_MAX + 1],
        };
        assert!(monthly_statements(many).is_err());
    }
}
