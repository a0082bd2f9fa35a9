//! Header, base segment and the segments that may follow it.

use super::codes::{
    AccountStatus, AddressIndicator, Agency, Change, Compliance, Creditor, Ecoa, Frequency,
    Generation, InterestType, PaymentRating, Portfolio, Purchase, Residence, SpecialPayment,
};
use super::coding::Coding;
use super::layout::{Fault, Layout, segment};
use super::tables::{AccountType, Indicator, SpecialComment};
use crate::domain::{Day, Timestamp};

segment!(
    /// The first record of a file; before its fields stand the descriptor and `HEADER`.
    Header "header" from 11 {
        cycle: String = 2 / 2,
        innovis_program: String = 10 / 10,
        equifax_program: String = 10 / 10,
        experian_program: String = 5 / 5,
        transunion_program: String = 10 / 10,
        activity_date: Option<Day> = 8 / 8,
        date_created: Option<Day> = 8 / 8,
        program_date: Option<Day> = 8 / 8,
        program_revision_date: Option<Day> = 8 / 8,
        reporter_name: String = 40 / 40,
        reporter_address: String = 96 / 96,
        reporter_telephone: u64 = 10 / 10,
        software_vendor: String = 40 / 40,
        software_version: String = 5 / 5,
        prbc_program: String = 10 / 10,
        reserved: String = 146 / 86,
    }
);

segment!(
    /// The account and its first consumer; before its fields stands the descriptor.
    Base "base" from 5 {
        processing_indicator: u64 = 1 / 1,
        time_stamp: Option<Timestamp> = 14 / 8,
        correction_indicator: u64 = 1 / 1,
        identification_number: String = 20 / 20,
        cycle: String = 2 / 2,
        consumer_account_number: String = 30 / 30,
        portfolio_type: Portfolio = 1 / 1,
        account_type: AccountType = 2 / 2,
        date_opened: Option<Day> = 8 / 5,
        credit_limit: u64 = 9 / 5,
        highest_credit: u64 = 9 / 5,
        terms_duration: String = 3 / 3,
        terms_frequency: Option<Frequency> = 1 / 1,
        scheduled_monthly_payment: u64 = 9 / 5,
        actual_payment: u64 = 9 / 5,
        account_status: AccountStatus = 2 / 2,
        payment_rating: Option<PaymentRating> = 1 / 1,
        payment_history_profile: String = 24 / 24,
        special_comment: Option<SpecialComment> = 2 / 2,
        compliance_condition: Option<Compliance> = 2 / 2,
        current_balance: u64 = 9 / 5,
        amount_past_due: u64 = 9 / 5,
        original_charge_off: u64 = 9 / 5,
        date_account_information: Option<Day> = 8 / 5,
        date_first_delinquency: Option<Day> = 8 / 5,
        date_closed: Option<Day> = 8 / 5,
        date_last_payment: Option<Day> = 8 / 5,
        interest_type: Option<InterestType> = 1 / 1,
        reserved: String = 17 / 17,
        surname: String = 25 / 25,
        first_name: String = 20 / 20,
        middle_name: String = 20 / 20,
        generation: Option<Generation> = 1 / 1,
        social_security_number: u64 = 9 / 5,
        date_of_birth: Option<Day> = 8 / 5,
        telephone_number: u64 = 10 / 6,
        ecoa: Ecoa = 1 / 1,
        consumer_information: Option<Indicator> = 2 / 2,
        country: String = 2 / 2,
        address_first_line: String = 32 / 32,
        address_second_line: String = 32 / 32,
        city: String = 20 / 20,
        state: String = 2 / 2,
        postal_code: String = 9 / 9,
        address_indicator: Option<AddressIndicator> = 1 / 1,
        residence: Option<Residence> = 1 / 1,
    }
);

segment!(
    /// Another consumer at the first one's address.
    J1 "J1" from 3 {
        reserved_first: String = 1 / 1,
        surname: String = 25 / 25,
        first_name: String = 20 / 20,
        middle_name: String = 20 / 20,
        generation: Option<Generation> = 1 / 1,
        social_security_number: u64 = 9 / 9,
        date_of_birth: Option<Day> = 8 / 8,
        telephone_number: u64 = 10 / 10,
        ecoa: Ecoa = 1 / 1,
        consumer_information: Option<Indicator> = 2 / 2,
        reserved: String = 1 / 1,
    }
);

segment!(
    /// Another consumer at an address of its own.
    J2 "J2" from 3 {
        reserved_first: String = 1 / 1,
        surname: String = 25 / 25,
        first_name: String = 20 / 20,
        middle_name: String = 20 / 20,
        generation: Option<Generation> = 1 / 1,
        social_security_number: u64 = 9 / 9,
        date_of_birth: Option<Day> = 8 / 8,
        telephone_number: u64 = 10 / 10,
        ecoa: Ecoa = 1 / 1,
        consumer_information: Option<Indicator> = 2 / 2,
        country: String = 2 / 2,
        address_first_line: String = 32 / 32,
        address_second_line: String = 32 / 32,
        city: String = 20 / 20,
        state: String = 2 / 2,
        postal_code: String = 9 / 9,
        address_indicator: Option<AddressIndicator> = 1 / 1,
        residence: Option<Residence> = 1 / 1,
        reserved: String = 2 / 2,
    }
);

segment!(
    /// Who opened the account first.
    K1 "K1" from 3 {
        original_creditor: String = 30 / 30,
        creditor_classification: Creditor = 2 / 2,
    }
);

segment!(
    /// Who the account was bought from or sold to.
    K2 "K2" from 3 {
        purchased_indicator: Purchase = 1 / 1,
        purchased_name: String = 30 / 30,
        reserved: String = 1 / 1,
    }
);

segment!(
    /// What a mortgage is called elsewhere.
    K3 "K3" from 3 {
        agency: Agency = 2 / 2,
        agency_account_number: String = 18 / 18,
        mortgage_identification_number: String = 18 / 18,
    }
);

segment!(
    /// A payment out of the usual schedule.
    K4 "K4" from 3 {
        specialized_payment: SpecialPayment = 2 / 2,
        deferred_payment_start: Option<Day> = 8 / 8,
        balloon_payment_due: Option<Day> = 8 / 8,
        balloon_payment: u64 = 9 / 9,
        reserved: String = 1 / 1,
    }
);

segment!(
    /// New numbers of the account.
    L1 "L1" from 3 {
        change_indicator: Change = 1 / 1,
        new_consumer_account_number: String = 30 / 30,
        new_identification_number: String = 20 / 20,
        reserved: String = 1 / 1,
    }
);

segment!(
    /// The consumer's employer.
    N1 "N1" from 3 {
        employer_name: String = 30 / 30,
        employer_address_first_line: String = 32 / 32,
        employer_address_second_line: String = 32 / 32,
        employer_city: String = 20 / 20,
        employer_state: String = 2 / 2,
        employer_postal_code: String = 9 / 9,
        occupation: String = 18 / 18,
        reserved: String = 1 / 1,
    }
);

/// The segments that may follow a base segment, each with the two characters that it opens with.
macro_rules! appended {
    ($($name:ident,)*) => {
        /// A segment behind a base segment.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub(super) enum Segment {
            $($name(Box<$name>),)*
        }

        impl Segment {
            /// The segment at the start of `bytes`, and how long it is; none where no known
            /// segment starts there.
            pub(super) fn read(
                bytes: &[u8],
                coding: Coding,
            ) -> Option<Result<(Self, usize), Fault>> {
                $(if bytes.starts_with($name::LABEL.as_bytes()) {
                    let read = $name::read(bytes, coding);
                    return Some(read.map(|segment| {
                        (Self::$name(Box::new(segment)), $name::length(coding))
                    }));
                })*
                None
            }

            pub(super) fn write(&self, coding: Coding, out: &mut Vec<u8>) -> Result<(), Fault> {
                match self {
                    $(Self::$name(segment) => {
                        out.extend($name::LABEL.as_bytes());
                        segment.write(coding, out)
                    })*
                }
            }
        }

        #[cfg(test)]
        impl super::drawn::Drawn for Segment {
            fn drawn(draw: &mut super::drawn::Draw, width: super::coding::Width) -> Self {
                let kinds = [$(|draw: &mut super::drawn::Draw, width| {
                    Self::$name(Box::new(super::drawn::Drawn::drawn(draw, width)))
                },)*];
                kinds[draw.below(kinds.len())](draw, width)
            }
        }
    };
}

appended!(J1, J2, K1, K2, K3, K4, L1, N1,);

/// A record of a file between header and trailer: a base segment and what follows it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Account {
    pub(super) base: Base,
    pub(super) segments: Vec<Segment>,
}

impl Account {
    /// The record in `bytes`, from its descriptor. Blanks at the end are filler.
    pub(super) fn read(bytes: &[u8], coding: Coding) -> Result<Self, Fault> {
        let base = Base::read(bytes, coding)?;
        let mut rest = bytes.get(Base::length(coding)..).unwrap_or_default();
        let mut segments = Vec::new();
        while rest.iter().any(|byte| !matches!(byte, b' ' | 0)) {
            let (segment, length) = Segment::read(rest, coding).unwrap_or_else(|| {
                let at = bytes.len() - rest.len() + 1;
                Err(Fault {
                    segment: "record",
                    field: "segment_identifier",
                    class: "code",
                    positions: (at, at + 1),
                    reason: "must be one of: J1 J2 K1 K2 K3 K4 L1 N1".to_owned(),
                })
            })?;
            segments.push(segment);
            rest = rest.get(length..).unwrap_or_default();
        }
        Ok(Self { base, segments })
    }

    /// Appends the record without its descriptor.
    pub(super) fn write(&self, coding: Coding, out: &mut Vec<u8>) -> Result<(), Fault> {
        self.base.write(coding, out)?;
        self.segments
            .iter()
            .try_for_each(|segment| segment.write(coding, out))
    }
}
