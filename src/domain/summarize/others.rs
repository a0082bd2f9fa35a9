//! How many identifiers of the other kind were seen with the one that a summary is about.

use std::collections::BTreeMap;
use std::time::Duration;

use super::SummaryTerms;
use super::standing::{self, Standing};
use crate::domain::{Body, Identifier, Level, Record, Tally, Timestamp};
use crate::limits::OTHER_IDENTIFIER_DAYS;

/// From how many on the tally is made again as soon as one of them falls out of the window. With
/// one or none there is nothing that an asker could conclude too early or too long.
const TIMELY_FROM: usize = 2;

/// Telephone numbers seen with a national number, or national numbers seen with a telephone
/// number, in the last 90 days. A member that tells defaults only tells 0.
///
/// All records name the identifier that the summary is about, so of its own kind there is one
/// alone, and the other kind is the one of which there are more.
pub(super) fn tally(standing: &mut Standing<'_>, terms: &SummaryTerms<'_>) -> Tally {
    if terms.level == Level::Defaults {
        return Tally::default();
    }
    let (mut national, mut phones) = (LastSeen::new(), LastSeen::new());
    for record in standing.records().filter(|one| !standing.is_disputed(one)) {
        if let Some(until) = seen_until(record).filter(|until| terms.now < *until) {
            note(&mut national, record.borrower.national.as_ref(), until);
            note(&mut phones, record.borrower.phone.as_ref(), until);
        }
    }
    if national.is_empty() || phones.is_empty() {
        return Tally::default();
    }
    let others = if national.len() > phones.len() {
        national
    } else {
        phones
    };
    let number = others.len();
    let first_to_go = others.into_values().min();
    if let Some(end) = first_to_go.filter(|_| number >= TIMELY_FROM) {
        standing.ahead(end);
    }
    Tally::of(number)
}

/// Until when each identifier counts as seen.
type LastSeen<'a> = BTreeMap<&'a Identifier, Timestamp>;

fn note<'a>(seen: &mut LastSeen<'a>, identifier: Option<&'a Identifier>, until: Timestamp) {
    if let Some(identifier) = identifier {
        let known = seen.entry(identifier).or_insert(until);
        *known = until.max(*known);
    }
}

/// Until when what a record tells counts: 90 days from the application or signature.
fn seen_until(record: &Record) -> Option<Timestamp> {
    let at = match &record.body {
        Body::Application(application) => application.at,
        Body::Loan(loan) if standing::counts(loan) => loan.signed_at,
        Body::Hold(hold) => hold.signed_at,
        Body::Loan(_) | Body::Signal(_) | Body::Retracted(_) => return None,
    };
    Some(at.plus(Duration::from_secs(OTHER_IDENTIFIER_DAYS * 86_400)))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use crate::domain::{
        Application, ApplicationKind, Bands, Body, Borrower, Currency, Identifier, LenderGroup,
        NetworkId, Product, Record, RecordHead, RecordId, Summarized, SummaryTerms, Tally,
        Timestamp, Version, summarize,
    };

    const DAY: std::time::Duration = std::time::Duration::from_secs(86_400);

    fn now() -> Timestamp {
        Timestamp::parse_rfc3339("2026-03-15T10:20:30Z").unwrap()
    }

    /// An application of `days` ago.
    fn applied(number: u128, days: u32, national: &str, phone: Option<&str>) -> Record {
        let at = now().minus(DAY * days);
        let one = Application::new(ApplicationKind::Application, Product::CashLoan, at);
        Record {
            head: RecordHead {
                record_id: RecordId(Uuid::from_u128(number)),
                version: Version::FIRST,
                reported_at: at,
                as_of: at,
                expires_on: None,
            },
            borrower: Borrower {
                national: Identifier::parse(national, None).ok(),
                phone: phone.map(|text| Identifier::parse(text, None).unwrap()),
                name_dob: None,
            },
            body: Body::Application(one),
        }
    }

    fn made(records: &[Record], at: Timestamp) -> Summarized {
        let network: NetworkId = "net".parse().unwrap();
        let own_group: LenderGroup = "own".parse().unwrap();
        let bands = Bands::of(Currency::USD, &[100, 200]).unwrap();
        let terms = SummaryTerms {
            level: crate::domain::Level::Full,
            network: &network,
            own_group: &own_group,
            bands: &bands,
            now: at,
        };
        summarize(records, &terms)
    }

    const SSN: &str = "us-ssn:536-90-4399";
    const OTHER_SSN: &str = "us-ssn:219-09-9998";
    const PHONES: [&str; 3] = [
        "phone:+447700900001",
        "phone:+447700900002",
        "phone:+447700900003",
    ];

    #[test]
    fn distinct_numbers_of_the_last_90_days_are_tallied_and_fall_out_in_time() {
        let records = [
            applied(1, 80, SSN, Some(PHONES[0])),
            applied(2, 10, SSN, Some(PHONES[1])),
            applied(3, 5, SSN, Some(PHONES[2])),
            applied(4, 4, SSN, Some(PHONES[2])),
            applied(5, 3, SSN, None),
            applied(6, 91, SSN, Some("phone:+447700900009")),
        ];
        let first = made(&records, now());
        assert_eq!(first.summary.others_90d, Some(Tally::of(3)));
        let change = first.next_change.unwrap();
        assert_eq!(change, now().plus(DAY * 10));
        let later = made(&records, change);
        assert_eq!(later.summary.others_90d, Some(Tally::of(2)));
    }

    #[test]
    fn by_a_telephone_number_national_numbers_are_tallied() {
        let records = [
            applied(1, 8, SSN, Some(PHONES[0])),
            applied(2, 9, OTHER_SSN, Some(PHONES[0])),
        ];
        let made = made(&records, now());
        assert_eq!(made.summary.others_90d, Some(Tally::of(2)));
    }

    #[test]
    fn without_a_second_kind_nothing_is_tallied() {
        let summary = made(&[applied(1, 8, SSN, None)], now()).summary;
        assert_eq!(summary.others_90d, Some(Tally::of(0)));
        assert!(made(&[], now()).summary.is_empty());
    }
}
