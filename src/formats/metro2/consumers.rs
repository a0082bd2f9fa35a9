//! The consumers of an account: the base segment's own, and one for each J1 and J2.

use super::codes::Ecoa;
use super::coding::Coding;
use super::layout::{Fault, Layout};
use super::segments::{Account, Base, J1, J2, Segment};
use super::tables::Indicator;
use super::trailer::is_no_number;
use crate::domain::{Borrower, Day, Identifier, IdentifierError, IdentifierKind, NameDob};
use crate::formats::reject::Problem;

/// A consumer, whichever segment names it.
pub(super) struct Consumer<'a> {
    /// Segment and place among those of its kind, from 1.
    pub(super) part: String,
    segment: Names,
    name: [&'a str; 3],
    ssn: u64,
    born: Option<Day>,
    phone: u64,
    pub(super) ecoa: Ecoa,
    pub(super) indicator: Option<Indicator>,
}

/// The segment that names a consumer.
#[derive(Clone, Copy)]
enum Names {
    Base,
    J1,
    J2,
}

macro_rules! consumer {
    ($segment:expr, $names:expr, $part:expr) => {
        Consumer {
            part: $part,
            segment: $names,
            name: [
                &$segment.first_name,
                &$segment.middle_name,
                &$segment.surname,
            ],
            ssn: $segment.social_security_number,
            born: $segment.date_of_birth,
            phone: $segment.telephone_number,
            ecoa: $segment.ecoa,
            indicator: $segment.consumer_information,
        }
    };
}

/// Every consumer of the account, the first one first.
pub(super) fn consumers(account: &Account) -> Vec<Consumer<'_>> {
    let base = &account.base;
    let mut found = vec![consumer!(base, Names::Base, "base 1".to_owned())];
    let (mut j1s, mut j2s) = (0, 0);
    for segment in &account.segments {
        match segment {
            Segment::J1(j1) => {
                j1s += 1;
                found.push(consumer!(j1, Names::J1, format!("J1 {j1s}")));
            }
            Segment::J2(j2) => {
                j2s += 1;
                found.push(consumer!(j2, Names::J2, format!("J2 {j2s}")));
            }
            Segment::K1(_)
            | Segment::K2(_)
            | Segment::K3(_)
            | Segment::K4(_)
            | Segment::L1(_)
            | Segment::N1(_) => {}
        }
    }
    found
}

impl Consumer<'_> {
    /// What is wrong with a field of this consumer; `field` may be named as in a record.
    pub(super) fn problem(&self, field: &'static str, coding: Coding, reason: &str) -> Problem {
        let field = match field {
            "national_id" => "social_security_number",
            "phone" => "telephone_number",
            "name" => "surname",
            "born" => "date_of_birth",
            other => other,
        };
        let fault = match self.segment {
            Names::Base => Base::fault(field, coding, reason),
            Names::J1 => J1::fault(field, coding, reason),
            Names::J2 => J2::fault(field, coding, reason),
        };
        let problem = Problem::from(Fault { ..fault });
        match self.segment {
            Names::Base => problem,
            Names::J1 | Names::J2 => Problem {
                field: format!("{} {field}", self.part),
                ..problem
            },
        }
    }

    /// Who it is: a number that is all zeros or nines is none.
    pub(super) fn borrower(&self, coding: Coding) -> Result<Borrower, Problem> {
        let wrong = |field, error: IdentifierError| self.problem(field, coding, &error.to_string());
        let ssn = (!is_no_number(self.ssn)).then(|| format!("{:09}", self.ssn));
        let national = ssn
            .map(|text| Identifier::of(IdentifierKind::UsSsn, &text, None))
            .transpose()
            .map_err(|error| wrong("national_id", error))?;
        let phone =
            (!matches!(self.phone, 0 | 9_999_999_999)).then(|| format!("+1{:010}", self.phone));
        let phone = phone
            .map(|text| Identifier::of(IdentifierKind::Phone, &text, None))
            .transpose();
        // A number that is not in use is left out where a better one names the consumer.
        let phone = match (phone, &national) {
            (Ok(phone), _) => phone,
            (Err(_), Some(_)) => None,
            (Err(error), None) => return Err(wrong("phone", error)),
        };
        let name = self.name.map(str::trim).join(" ");
        let name_dob = self
            .born
            .filter(|_| !name.trim().is_empty())
            .map(|born| NameDob::of(&name, born))
            .transpose()
            .map_err(|error| self.problem("name", coding, &error.to_string()))?;
        Ok(Borrower {
            national,
            phone,
            name_dob,
        })
    }
}
