//! Valid identifiers of people who do not exist.
//!
//! - **Telephone numbers** come only from ranges that are set aside for fiction: 555-0100 to
//!   555-0199 of an American area code (North American Numbering Plan), and +44 7700 900000 to
//!   900999 (Ofcom). There are 28,000, so in a large population some people share a number or
//!   have none; some do in life, too.
//! - **Chinese resident identity numbers** have a right check character and a real date, and the
//!   county code 119999, which names no county: nobody holds such a number.
//! - **American social security numbers** are random among those that the rules allow. No range of
//!   valid numbers is set aside for tests, so one of them may by chance be somebody's; nothing else
//!   about that person is here.

use std::collections::BTreeSet;

use super::WorkloadError;
use super::draw::Draw;
use crate::domain::{
    Borrower, Day, Identifier, IdentifierKind, NameDob, Timestamp, check_character,
};

/// A county code of Beijing that was never given out.
const NO_COUNTY: &str = "119999";

const GIVEN: &[&str] = &[
    "Ada", "Amir", "Anna", "Ben", "Carla", "Chen", "Clara", "Dario", "Diego", "Elena", "Emil",
    "Fatima", "Felix", "Grace", "Hana", "Hugo", "Ines", "Ivan", "Jamal", "Jana", "Karim", "Kofi",
    "Lena", "Leo", "Lin", "Lucia", "Maja", "Marco", "Mei", "Milan", "Nadia", "Nina", "Noah",
    "Olga", "Omar", "Paul", "Priya", "Rosa", "Sami", "Sara", "Tariq", "Tessa", "Tom", "Vera",
    "Wei", "Yara", "Yusuf", "Zoe",
];
const FAMILY: &[&str] = &[
    "Abara", "Almeida", "Bauer", "Brandt", "Castillo", "Cohen", "Costa", "Dang", "Duarte",
    "Eriksen", "Farouk", "Fischer", "Garcia", "Gruber", "Haddad", "Horvat", "Ibarra", "Ivanova",
    "Jansen", "Kato", "Keller", "Khan", "Kovacs", "Larsen", "Lopez", "Marino", "Mbeki", "Moreau",
    "Nakamura", "Novak", "Okafor", "Olsen", "Patel", "Pereira", "Quinn", "Ramos", "Rossi", "Sato",
    "Silva", "Singh", "Tanaka", "Torres", "Urban", "Varga", "Wagner", "Weiss", "Yilmaz", "Zhou",
];

/// American area codes in use: each has a hundred numbers for fiction.
const AREA_CODES: &[u16] = &[
    201, 202, 203, 205, 206, 207, 208, 209, 210, 212, 213, 214, 215, 216, 217, 218, 219, 224, 225,
    228, 229, 231, 234, 239, 240, 248, 251, 252, 253, 254, 256, 260, 262, 267, 269, 270, 276, 281,
    301, 302, 303, 304, 305, 307, 308, 309, 310, 312, 313, 314, 315, 316, 317, 318, 319, 320, 321,
    323, 325, 330, 334, 336, 337, 339, 347, 351, 352, 360, 361, 386, 401, 402, 404, 405, 406, 407,
    408, 409, 410, 412, 413, 414, 415, 417, 419, 423, 424, 425, 432, 434, 435, 440, 443, 469, 478,
    479, 480, 484, 501, 502, 503, 504, 505, 507, 508, 509, 510, 512, 513, 515, 516, 517, 518, 520,
    530, 540, 541, 551, 559, 561, 562, 563, 567, 570, 571, 573, 574, 575, 580, 585, 586, 601, 602,
    603, 605, 606, 607, 608, 609, 610, 612, 614, 615, 616, 617, 618, 619, 620, 623, 626, 630, 631,
    636, 641, 646, 650, 651, 660, 661, 662, 678, 682, 701, 702, 703, 704, 706, 707, 708, 712, 713,
    714, 715, 716, 717, 718, 719, 720, 724, 727, 731, 732, 734, 740, 754, 757, 760, 763, 765, 770,
    772, 773, 774, 775, 781, 785, 786, 801, 802, 803, 804, 805, 806, 808, 810, 812, 813, 814, 815,
    816, 817, 818, 828, 830, 831, 832, 843, 845, 847, 848, 850, 856, 857, 858, 859, 860, 862, 863,
    864, 865, 870, 901, 903, 904, 906, 907, 908, 909, 910, 912, 913, 914, 915, 916, 917, 918, 919,
    920, 925, 928, 931, 936, 937, 940, 941, 947, 949, 951, 952, 954, 956, 970, 971, 972, 973, 978,
    979, 980, 985, 989,
];
const FICTION_PER_AREA: usize = 100;
const FICTION_BRITISH: usize = 1_000;
/// Shares no factor with the count of numbers, so that steps of it reach every number once.
const PHONE_STEP: usize = 7_919;

/// Gives out identifiers, each national number once.
#[derive(Debug)]
pub(super) struct Identities {
    taken: BTreeSet<Identifier>,
    phones_given: usize,
    last_phone: Option<Identifier>,
    oldest: Day,
    youngest: Day,
}

impl Identities {
    /// For people who are 21 to 66 years old at `start`.
    pub(super) fn at(start: Timestamp) -> Self {
        Self {
            taken: BTreeSet::new(),
            phones_given: 0,
            last_phone: None,
            oldest: start.day().plus_days(-66 * 365),
            youngest: start.day().plus_days(-22 * 365),
        }
    }

    /// The next person: 92 % with a social security number, 8 % with a resident identity number.
    /// 8 % have no phone number, 3 % share the one of the person before (a household).
    pub(super) fn next(&mut self, draw: &mut Draw) -> Result<Borrower, WorkloadError> {
        let age_span = self.youngest.unix_days() - self.oldest.unix_days();
        let born = self.oldest.plus_days(draw.between(0, age_span));
        let national = if draw.chance(0.92) {
            self.fresh(|| social_security(draw))?
        } else {
            self.fresh(|| resident(draw, born))?
        };
        let phone = self.phone(draw)?;
        let given = draw.one_of(GIVEN).copied().unwrap_or_default();
        let family = draw.one_of(FAMILY).copied().unwrap_or_default();
        let name_dob = NameDob::of(&format!("{given} {family}"), born).ok();
        Ok(Borrower {
            national: Some(national),
            phone,
            name_dob,
        })
    }

    /// Further telephone numbers for one person, fewer where they run out.
    pub(super) fn further_phones(
        &mut self,
        count: usize,
    ) -> Result<Vec<Identifier>, WorkloadError> {
        let left = phone_numbers().saturating_sub(self.phones_given);
        let places = self.phones_given..self.phones_given + count.min(left);
        self.phones_given = places.end;
        places.map(phone_number).collect()
    }

    fn fresh(
        &mut self,
        mut drawn: impl FnMut() -> Result<Identifier, WorkloadError>,
    ) -> Result<Identifier, WorkloadError> {
        loop {
            let identifier = drawn()?;
            if self.taken.insert(identifier.clone()) {
                return Ok(identifier);
            }
        }
    }

    fn phone(&mut self, draw: &mut Draw) -> Result<Option<Identifier>, WorkloadError> {
        let (has_none, shares) = (draw.chance(0.08), draw.chance(0.03));
        if has_none || self.phones_given >= phone_numbers() {
            return Ok(None);
        }
        if !shares || self.last_phone.is_none() {
            self.last_phone = Some(phone_number(self.phones_given)?);
            self.phones_given += 1;
        }
        Ok(self.last_phone.clone())
    }
}

fn social_security(draw: &mut Draw) -> Result<Identifier, WorkloadError> {
    loop {
        let area = draw.between(1, 899);
        let text = format!(
            "{area:03}{:02}{:04}",
            draw.between(1, 99),
            draw.between(1, 9_999)
        );
        // The few numbers that the rules refuse are drawn again.
        if let Ok(identifier) = Identifier::of(IdentifierKind::UsSsn, &text, None) {
            return Ok(identifier);
        }
    }
}

fn resident(draw: &mut Draw, born: Day) -> Result<Identifier, WorkloadError> {
    let date = born.to_string().replace('-', "");
    let body = format!("{NO_COUNTY}{date}{:03}", draw.between(1, 999));
    let check = check_character(IdentifierKind::CnRid, &body).ok_or(WorkloadError::Identifier)?;
    Identifier::of(IdentifierKind::CnRid, &format!("{body}{check}"), None)
        .map_err(|_| WorkloadError::Identifier)
}

/// How many telephone numbers there are for fiction.
fn phone_numbers() -> usize {
    AREA_CODES.len() * FICTION_PER_AREA + FICTION_BRITISH
}

/// The telephone number with this place, 0 to [`phone_numbers`].
fn phone_number(place: usize) -> Result<Identifier, WorkloadError> {
    let place = place.wrapping_mul(PHONE_STEP) % phone_numbers();
    let text = match AREA_CODES.get(place / FICTION_PER_AREA) {
        Some(area) => format!("+1{area}55501{:02}", place % FICTION_PER_AREA),
        None => format!(
            "+447700900{:03}",
            place - AREA_CODES.len() * FICTION_PER_AREA
        ),
    };
    Identifier::of(IdentifierKind::Phone, &text, None).map_err(|_| WorkloadError::Identifier)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::draw::Stream;

    #[test]
    fn every_phone_number_for_fiction_is_valid_and_given_once() {
        let mut seen = BTreeSet::new();
        for place in 0..phone_numbers() {
            let number = phone_number(place).unwrap();
            let value = number.value().to_owned();
            let fictional = value.get(5..10) == Some("55501") || value.starts_with("+447700900");
            assert!(fictional, "{value}");
            assert!(seen.insert(value));
        }
    }

    #[test]
    fn everybody_has_a_national_number_of_its_own_and_most_have_a_phone() {
        let start = Timestamp::parse_rfc3339("2026-03-02T00:00:00Z").unwrap();
        let mut identities = Identities::at(start);
        let mut draw = Draw::stream(1, Stream::Identity, 0);
        let people: Vec<Borrower> = (0..3_000)
            .map(|_| identities.next(&mut draw).unwrap())
            .collect();
        let national: BTreeSet<&Identifier> = people
            .iter()
            .filter_map(|person| person.national.as_ref())
            .collect();
        assert_eq!(national.len(), people.len());
        let without_phone = people
            .iter()
            .filter(|person| person.phone.is_none())
            .count();
        assert!((180..310).contains(&without_phone), "{without_phone}");
    }
}
