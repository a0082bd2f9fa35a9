//! The codes of Metro 2 as data: each table one type, each line a code and what it says.

use super::coding::{Coding, Value, Width};

/// A value out of a table of codes.
pub(super) trait Code: Copy + Default + 'static {
    /// Every value, in the order of the table.
    const ALL: &'static [Self];

    /// The characters for it in a file, without blanks.
    fn code(self) -> &'static str;

    /// The value of these characters.
    fn of(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|value| value.code() == code)
    }
}

fn wrong<C: Code>(or_blank: &str) -> String {
    let codes: Vec<&str> = C::ALL.iter().map(|value| value.code()).collect();
    format!("must be one of: {}{or_blank}", codes.join(" "))
}

fn padded(code: &str, width: Width) -> Vec<u8> {
    let mut bytes = code.as_bytes().to_vec();
    bytes.resize(width.chars, b' ');
    bytes
}

/// A code that must be there.
impl<C: Code> Value for C {
    const CLASS: &'static str = "code";

    fn read(bytes: &[u8], is_packed: bool) -> Result<Self, String> {
        let text = String::read(bytes, is_packed).unwrap_or_default();
        Self::of(&text).ok_or_else(|| wrong::<C>(""))
    }

    fn write(&self, width: Width, _: Coding) -> Result<Vec<u8>, String> {
        Ok(padded(self.code(), width))
    }
}

/// A code that may be left blank.
impl<C: Code> Value for Option<C> {
    const CLASS: &'static str = "code";

    fn read(bytes: &[u8], is_packed: bool) -> Result<Self, String> {
        let blank = bytes.iter().all(|byte| *byte == b' ');
        let or_blank = |_| wrong::<C>(", or blank");
        (!blank)
            .then(|| C::read(bytes, is_packed))
            .transpose()
            .map_err(or_blank)
    }

    fn write(&self, width: Width, _: Coding) -> Result<Vec<u8>, String> {
        Ok(padded(self.map_or("", Code::code), width))
    }
}

/// A table of codes: its type, and on each line name, code and meaning.
macro_rules! codes {
    ($(#[$doc:meta])* $name:ident {
        $first:ident = $first_code:literal $first_meaning:literal,
        $($variant:ident = $code:literal $meaning:literal,)*
    }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub(super) enum $name {
            #[doc = $first_meaning]
            #[default]
            $first,
            $(#[doc = $meaning] $variant,)*
        }

        impl $crate::formats::metro2::codes::Code for $name {
            const ALL: &'static [Self] = &[Self::$first, $(Self::$variant,)*];

            fn code(self) -> &'static str {
                match self {
                    Self::$first => $first_code,
                    $(Self::$variant => $code,)*
                }
            }
        }

        #[cfg(test)]
        impl $name {
            /// The table, for the documentation.
            pub(super) const TABLE: &'static [(&'static str, &'static str)] =
                &[($first_code, $first_meaning), $(($code, $meaning),)*];
        }
    };
}
pub(super) use codes;

codes!(
    /// Portfolio type, field 8.
    Portfolio {
        Instalment = "I" "instalment",
        Credit = "C" "line of credit",
        Mortgage = "M" "mortgage",
        Open = "O" "open: the whole balance is due at once",
        Revolving = "R" "revolving",
    }
);

codes!(
    /// Terms frequency, field 13.
    Frequency {
        Monthly = "M" "monthly",
        Deferred = "D" "deferred",
        Single = "P" "a single payment",
        Weekly = "W" "weekly",
        Biweekly = "B" "every two weeks",
        Semimonthly = "E" "twice a month",
        Bimonthly = "L" "every two months",
        Quarterly = "Q" "quarterly",
        Triannually = "T" "three times a year",
        Semiannually = "S" "twice a year",
        Annually = "Y" "yearly",
    }
);

codes!(
    /// Account status, field 17A.
    AccountStatus {
        Current = "11" "current, up to 29 days past due",
        Transferred = "05" "transferred to another office or lender",
        Paid = "13" "paid or closed, nothing owed",
        PaidSurrender = "61" "paid in full, was a voluntary surrender",
        PaidCollection = "62" "paid in full, was a collection account",
        PaidRepossession = "63" "paid in full, was a repossession",
        PaidChargeOff = "64" "paid in full, was charged off",
        PaidForeclosure = "65" "paid in full, a foreclosure was started",
        Late30 = "71" "30 to 59 days past due",
        Late60 = "78" "60 to 89 days past due",
        Late90 = "80" "90 to 119 days past due",
        Late120 = "82" "120 to 149 days past due",
        Late150 = "83" "150 to 179 days past due",
        Late180 = "84" "180 or more days past due",
        Claim = "88" "claim filed with a government for an insured loss",
        Deed = "89" "deed received in place of foreclosure",
        Collection = "93" "assigned to collections",
        Foreclosed = "94" "foreclosure completed",
        Surrender = "95" "voluntary surrender, a balance may be owed",
        Repossessed = "96" "goods repossessed, a balance may be owed",
        ChargedOff = "97" "charged off, unpaid",
        Delete = "DA" "delete the account: reported in error",
        DeleteFraud = "DF" "delete the account: confirmed fraud",
    }
);

codes!(
    /// Payment rating, field 17B.
    PaymentRating {
        Current = "0" "current, up to 29 days past due",
        Late30 = "1" "30 to 59 days past due",
        Late60 = "2" "60 to 89 days past due",
        Late90 = "3" "90 to 119 days past due",
        Late120 = "4" "120 to 149 days past due",
        Late150 = "5" "150 to 179 days past due",
        Late180 = "6" "180 or more days past due",
        Collection = "G" "collection",
        ChargeOff = "L" "charge-off",
    }
);

codes!(
    /// Compliance condition code, field 20.
    Compliance {
        ClosedByConsumer = "XA" "closed at the consumer's request",
        Disputed = "XB" "disputed by the consumer, under investigation (FCRA)",
        Disagrees = "XC" "investigated, the consumer disagrees (FCRA)",
        ClosedDisputed = "XD" "closed at the consumer's request, under investigation (FCRA)",
        ClosedDisagrees = "XE" "closed at the consumer's request, the consumer disagrees (FCRA)",
        BillingDispute = "XF" "disputed under the Fair Credit Billing Act, being resolved",
        BillingDisagrees = "XG" "billing dispute resolved, the consumer disagrees",
        Resolved = "XH" "was disputed, now resolved",
        ClosedBilling = "XJ" "closed at the consumer's request, billing dispute being resolved",
        ClosedBillingDisagrees = "XK" "closed at the consumer's request, billing dispute disagreed",
        Remove = "XR" "removes the code that was reported before",
    }
);

codes!(
    /// ECOA code, field 37: what the consumer is to the account.
    Ecoa {
        Individual = "1" "the only one liable",
        Joint = "2" "liable with others by contract",
        AuthorisedUser = "3" "may use the account, is not liable",
        CoMaker = "5" "guarantees: liable if the maker does not pay",
        Maker = "7" "liable, a co-maker guarantees",
        Terminated = "T" "no longer belongs to the account",
        Business = "W" "a business",
        Deceased = "X" "died",
        Delete = "Z" "delete the consumer from the account",
    }
);

codes!(
    /// Interest type, field 28.
    InterestType {
        Fixed = "F" "fixed",
        Variable = "V" "variable",
    }
);

codes!(
    /// Generation code, field 33.
    Generation {
        Junior = "J" "junior",
        Senior = "S" "senior",
        Second = "2" "the second",
        Third = "3" "the third",
        Fourth = "4" "the fourth",
        Fifth = "5" "the fifth",
        Sixth = "6" "the sixth",
        Seventh = "7" "the seventh",
        Eighth = "8" "the eighth",
        Ninth = "9" "the ninth",
    }
);

codes!(
    /// Address indicator, field 45.
    AddressIndicator {
        Consumer = "Y" "known to be the consumer's",
        Confirmed = "C" "confirmed",
        Unconfirmed = "N" "not confirmed",
        Military = "M" "military",
        Secondary = "S" "secondary",
        Business = "B" "a business, not the residence",
        Undeliverable = "U" "undeliverable",
        Reporter = "D" "the data reporter's own",
        BillPayer = "P" "a bill payer service's",
    }
);

codes!(
    /// Residence code, field 46.
    Residence {
        Owns = "O" "owns",
        Rents = "R" "rents",
    }
);

codes!(
    /// Creditor classification, K1 field 3.
    Creditor {
        Retail = "01" "retail",
        Medical = "02" "medical",
        Oil = "03" "oil company",
        Government = "04" "government",
        Personal = "05" "personal services",
        Insurance = "06" "insurance",
        Education = "07" "education",
        Banking = "08" "banking",
        Leasing = "09" "rental or leasing",
        Utilities = "10" "utilities",
        Cable = "11" "cable or cellular",
        Financial = "12" "financial, not a bank",
        CreditUnion = "13" "credit union",
        Automotive = "14" "automotive",
        Cheques = "15" "cheque guarantee",
    }
);

codes!(
    /// Purchased indicator, K2 field 2.
    Purchase {
        From = "1" "purchased from",
        To = "2" "sold to",
        Remove = "9" "removes what was reported before",
    }
);

codes!(
    /// Agency identifier, K3 field 2.
    Agency {
        None = "00" "no agency",
        FannieMae = "01" "Fannie Mae",
        FreddieMac = "02" "Freddie Mac",
    }
);

codes!(
    /// Specialized payment indicator, K4 field 2.
    SpecialPayment {
        Balloon = "01" "balloon payment",
        Deferred = "02" "deferred payment",
    }
);

codes!(
    /// Change indicator, L1 field 2.
    Change {
        Account = "1" "the account number",
        Identification = "2" "the identification number",
        Both = "3" "both numbers",
    }
);
