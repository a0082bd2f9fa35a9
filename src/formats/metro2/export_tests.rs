//! Loans that are written as Metro 2 and read again.

use proptest::prelude::*;

use super::file_tests::rows;
use super::{Furnisher, Metro2Form, Writer};
use crate::domain::arbitrary::any_record;
use crate::domain::*;
use crate::formats::Reject;

fn furnisher() -> Furnisher {
    Furnisher {
        identification_number: "55555".to_owned(),
        reporter_name: "NORTH BANK".to_owned(),
        created_on: "2026-01-31".parse().unwrap(),
    }
}

fn written(records: &[Record], form: Metro2Form) -> (Vec<u8>, Vec<Reject>) {
    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file, form, furnisher()).unwrap();
    let refused = records
        .iter()
        .filter_map(|record| writer.write(record).unwrap())
        .collect();
    writer.finish().unwrap();
    (file, refused)
}

fn usd(dollars: i64) -> Money {
    Money::of(dollars * 100, Currency::USD)
}

fn record(change: impl FnOnce(&mut Record, &mut Loan)) -> Record {
    let as_of = Timestamp::parse_rfc3339("2026-01-31T00:00:00Z").unwrap();
    let mut loan = Loan::new(
        "NB-17".to_owned(),
        Product::InstalmentUnsecured,
        usd(5_000),
        Timestamp::parse_rfc3339("2025-02-28T00:00:00Z").unwrap(),
    );
    loan.maturity_on = Some("2027-02-28".parse().unwrap());
    loan.term_days = 730;
    let mut record = Record {
        head: RecordHead {
            record_id: RecordId::fresh(as_of, [7; 10]),
            version: Version::FIRST,
            reported_at: as_of,
            as_of,
            expires_on: None,
        },
        borrower: Borrower {
            national: Identifier::parse("us-ssn:536904399", None).ok(),
            phone: Identifier::parse("phone:+12025550123", None).ok(),
            name_dob: NameDob::of("Maria López", "1980-05-17".parse().unwrap()).ok(),
        },
        body: Body::Loan(loan.clone()),
    };
    change(&mut record, &mut loan);
    record.body = Body::Loan(loan);
    record
}

fn loan(record: &Record) -> &Loan {
    let Body::Loan(loan) = &record.body else {
        panic!("{:?}", record.kind());
    };
    loan
}

#[test]
fn a_loan_comes_back_with_what_the_format_carries() {
    let late = record(|_, loan| {
        loan.dpd = 60;
        loan.outstanding = usd(4_100);
        loan.past_due = usd(420);
        loan.instalment = Some(usd(230));
        loan.first_delinquency_on = Some("2025-12-02".parse().unwrap());
        loan.history = History::from_text("320.00..................").unwrap();
        loan.dispute = Dispute::Open;
        loan.treatment = Treatment::Forbearance;
        loan.role = LoanRole::Joint;
    });
    let revolving = record(|_, loan| {
        loan.account_ref = "NB-18".to_owned();
        loan.product = Product::Revolving;
        loan.maturity_on = None;
        loan.term_days = 0;
        loan.credit_limit = Some(usd(6_000));
    });
    let charged_off = record(|_, loan| {
        loan.account_ref = "NB-19".to_owned();
        loan.state = LoanState::ChargedOff;
        loan.first_delinquency_on = Some("2025-08-04".parse().unwrap());
        loan.dpd = 210;
        loan.past_due = loan.outstanding;
    });
    let settled = record(|_, loan| {
        loan.account_ref = "NB-20".to_owned();
        loan.state = LoanState::SettledLess;
        loan.outstanding = usd(0);
        loan.closed_on = Some("2026-01-12".parse().unwrap());
        loan.product = Product::CashLoan;
    });
    let records = [late, revolving, charged_off, settled];
    for form in Metro2Form::ALL {
        let (file, refused) = written(&records, form);
        assert_eq!(refused, []);
        let read: Vec<Record> = rows(&file)
            .into_iter()
            .map(|row| row.result.unwrap())
            .collect();
        let (loans, signals): (Vec<_>, Vec<_>) = read
            .iter()
            .partition(|record| record.kind() == RecordKind::Loan);
        assert_eq!(loans.len(), 4);
        assert_eq!(signals.len(), 1);
        for (given, back) in records.iter().zip(loans) {
            assert_eq!(loan(back), loan(given));
            assert!(back.borrower == given.borrower);
            assert_eq!(back.head.as_of, given.head.as_of);
            assert_eq!(back.head.reported_at, given.head.reported_at);
        }
    }
}

#[test]
fn what_the_format_cannot_carry_is_named() {
    let cases = [
        (
            "principal",
            record(|_, loan| loan.principal.currency = Currency::CNY),
        ),
        (
            "national_id",
            record(|record, _| {
                record.borrower.national = None;
                record.borrower.phone = Identifier::parse("phone:+447700900123", None).ok();
            }),
        ),
        (
            "base consumer_account_number",
            record(|_, loan| loan.account_ref = "N".repeat(31)),
        ),
        (
            "name",
            record(|record, _| {
                let born = "1980-05-17".parse().unwrap();
                record.borrower.name_dob = NameDob::of(&"abcdefghijklm ".repeat(6), born).ok();
            }),
        ),
        (
            "base surname",
            record(|record, _| {
                let born = "1980-05-17".parse().unwrap();
                record.borrower.name_dob = NameDob::of("王小明", born).ok();
            }),
        ),
        ("state", record(|_, loan| loan.state = LoanState::Void)),
    ];
    for (field, case) in cases {
        let (file, refused) = written(&[case], Metro2Form::Fixed);
        assert_eq!(refused.len(), 1, "{field}");
        assert_eq!(refused[0].field, field, "{}", refused[0]);
        assert!(rows(&file).is_empty());
    }
}

proptest! {
    #[test]
    fn whatever_is_written_is_read_without_a_reject(record in any_record()) {
        let mut record = record;
        if let Body::Loan(loan) = &mut record.body {
            for amount in [&mut loan.principal, &mut loan.outstanding, &mut loan.past_due] {
                *amount = Money::of(amount.minor % 90_000_000_000, Currency::USD);
            }
            for amount in [&mut loan.instalment, &mut loan.credit_limit].into_iter().flatten() {
                *amount = Money::of(amount.minor % 90_000_000_000, Currency::USD);
            }
        }
        record.borrower.phone = Identifier::parse("phone:+12025550123", None).ok();
        for form in Metro2Form::ALL {
            let (file, refused) = written(std::slice::from_ref(&record), form);
            let read = rows(&file);
            prop_assert!(refused.len() + read.len() >= 1);
            if record.check(None).is_ok() && refused.is_empty() {
                for row in read {
                    prop_assert!(row.result.is_ok(), "{:?}", row.result);
                }
            }
        }
    }
}
