//! The last record of a file: what was counted, and whether it agrees.

use super::codes::{AccountStatus, Ecoa};
use super::coding::Coding;
use super::layout::{Fault, Layout, segment};
use super::segments::{Account, Segment};
use crate::domain::Day;

segment!(
    /// The totals of a file; before its fields stand the descriptor and `TRAILER`.
    Trailer "trailer" from 12 {
        total_base_records: u64 = 9 / 5,
        reserved_first: String = 9 / 5,
        total_status_df: u64 = 9 / 5,
        total_j1_segments: u64 = 9 / 5,
        total_j2_segments: u64 = 9 / 5,
        block_count: u64 = 9 / 5,
        total_status_da: u64 = 9 / 5,
        total_status_05: u64 = 9 / 5,
        total_status_11: u64 = 9 / 5,
        total_status_13: u64 = 9 / 5,
        total_status_61: u64 = 9 / 5,
        total_status_62: u64 = 9 / 5,
        total_status_63: u64 = 9 / 5,
        total_status_64: u64 = 9 / 5,
        total_status_65: u64 = 9 / 5,
        total_status_71: u64 = 9 / 5,
        total_status_78: u64 = 9 / 5,
        total_status_80: u64 = 9 / 5,
        total_status_82: u64 = 9 / 5,
        total_status_83: u64 = 9 / 5,
        total_status_84: u64 = 9 / 5,
        total_status_88: u64 = 9 / 5,
        total_status_89: u64 = 9 / 5,
        total_status_93: u64 = 9 / 5,
        total_status_94: u64 = 9 / 5,
        total_status_95: u64 = 9 / 5,
        total_status_96: u64 = 9 / 5,
        total_status_97: u64 = 9 / 5,
        total_ecoa_z: u64 = 9 / 5,
        total_n1_segments: u64 = 9 / 5,
        total_k1_segments: u64 = 9 / 5,
        total_k2_segments: u64 = 9 / 5,
        total_k3_segments: u64 = 9 / 5,
        total_k4_segments: u64 = 9 / 5,
        total_l1_segments: u64 = 9 / 5,
        total_social_security_numbers: u64 = 9 / 5,
        total_social_security_numbers_base: u64 = 9 / 5,
        total_social_security_numbers_j1: u64 = 9 / 5,
        total_social_security_numbers_j2: u64 = 9 / 5,
        total_dates_of_birth: u64 = 9 / 5,
        total_dates_of_birth_base: u64 = 9 / 5,
        total_dates_of_birth_j1: u64 = 9 / 5,
        total_dates_of_birth_j2: u64 = 9 / 5,
        total_telephone_numbers: u64 = 9 / 5,
        reserved: String = 19 / 135,
    }
);

/// A social security number that stands for none: zeros or nines.
pub(super) const fn is_no_number(number: u64) -> bool {
    matches!(number, 0 | 999_999_999)
}

/// What one consumer adds to the totals over all segments; whether it has number and birth date.
fn count_consumer(totals: &mut Trailer, ssn: u64, born: Option<Day>, phone: u64) -> (u64, u64) {
    let ssns = u64::from(!is_no_number(ssn));
    let births = u64::from(born.is_some());
    totals.total_social_security_numbers += ssns;
    totals.total_dates_of_birth += births;
    totals.total_telephone_numbers += u64::from(!matches!(phone, 0 | 9_999_999_999));
    (ssns, births)
}

impl Trailer {
    /// Counts one record in.
    pub(super) fn count(&mut self, account: &Account) {
        let base = &account.base;
        self.total_base_records += 1;
        *self.of_status(base.account_status) += 1;
        self.total_ecoa_z += u64::from(base.ecoa == Ecoa::Delete);
        let (ssns, births) = count_consumer(
            self,
            base.social_security_number,
            base.date_of_birth,
            base.telephone_number,
        );
        self.total_social_security_numbers_base += ssns;
        self.total_dates_of_birth_base += births;
        for segment in &account.segments {
            self.count_segment(segment);
        }
    }

    fn count_segment(&mut self, segment: &Segment) {
        match segment {
            Segment::J1(j1) => {
                self.total_j1_segments += 1;
                self.total_ecoa_z += u64::from(j1.ecoa == Ecoa::Delete);
                let (ssn, phone) = (j1.social_security_number, j1.telephone_number);
                let (ssns, births) = count_consumer(self, ssn, j1.date_of_birth, phone);
                self.total_social_security_numbers_j1 += ssns;
                self.total_dates_of_birth_j1 += births;
            }
            Segment::J2(j2) => {
                self.total_j2_segments += 1;
                self.total_ecoa_z += u64::from(j2.ecoa == Ecoa::Delete);
                let (ssn, phone) = (j2.social_security_number, j2.telephone_number);
                let (ssns, births) = count_consumer(self, ssn, j2.date_of_birth, phone);
                self.total_social_security_numbers_j2 += ssns;
                self.total_dates_of_birth_j2 += births;
            }
            Segment::K1(_) => self.total_k1_segments += 1,
            Segment::K2(_) => self.total_k2_segments += 1,
            Segment::K3(_) => self.total_k3_segments += 1,
            Segment::K4(_) => self.total_k4_segments += 1,
            Segment::L1(_) => self.total_l1_segments += 1,
            Segment::N1(_) => self.total_n1_segments += 1,
        }
    }

    const fn of_status(&mut self, status: AccountStatus) -> &mut u64 {
        match status {
            AccountStatus::Delete => &mut self.total_status_da,
            AccountStatus::DeleteFraud => &mut self.total_status_df,
            AccountStatus::Transferred => &mut self.total_status_05,
            AccountStatus::Current => &mut self.total_status_11,
            AccountStatus::Paid => &mut self.total_status_13,
            AccountStatus::PaidSurrender => &mut self.total_status_61,
            AccountStatus::PaidCollection => &mut self.total_status_62,
            AccountStatus::PaidRepossession => &mut self.total_status_63,
            AccountStatus::PaidChargeOff => &mut self.total_status_64,
            AccountStatus::PaidForeclosure => &mut self.total_status_65,
            AccountStatus::Late30 => &mut self.total_status_71,
            AccountStatus::Late60 => &mut self.total_status_78,
            AccountStatus::Late90 => &mut self.total_status_80,
            AccountStatus::Late120 => &mut self.total_status_82,
            AccountStatus::Late150 => &mut self.total_status_83,
            AccountStatus::Late180 => &mut self.total_status_84,
            AccountStatus::Claim => &mut self.total_status_88,
            AccountStatus::Deed => &mut self.total_status_89,
            AccountStatus::Collection => &mut self.total_status_93,
            AccountStatus::Foreclosed => &mut self.total_status_94,
            AccountStatus::Surrender => &mut self.total_status_95,
            AccountStatus::Repossessed => &mut self.total_status_96,
            AccountStatus::ChargedOff => &mut self.total_status_97,
        }
    }

    /// Where the totals of the file, `self`, differ from those that were counted.
    pub(super) fn differences(&self, counted: &Self, coding: Coding) -> Vec<Fault> {
        let numbers = self.numbers().into_iter().zip(counted.numbers());
        let names = Self::FIELDS.iter().filter(|field| field.class == "number");
        let different = |(field, (said, counted)): (_, (u64, u64))| {
            let field: &super::layout::Field = field;
            (said != counted).then(|| {
                let reason = format!("says {said}, and the file has {counted}");
                Self::fault(field.name, coding, reason)
            })
        };
        names.zip(numbers).filter_map(different).collect()
    }

    /// The totals in the order of the fields.
    fn numbers(&self) -> Vec<u64> {
        let mut bytes = vec![b' '; Self::START - 1];
        // Everything was read from, or counted in, fields of this width.
        if self.write(Coding::Character, &mut bytes).is_err() {
            return Vec::new();
        }
        let fields = Self::FIELDS.iter().filter(|field| field.class == "number");
        let number = |field: &super::layout::Field| {
            let (first, last) = Self::positions(field.name, Coding::Character)?;
            let text = std::str::from_utf8(bytes.get(first - 1..last)?).ok()?;
            text.parse().ok()
        };
        fields.map(|field| number(field).unwrap_or(0)).collect()
    }
}
