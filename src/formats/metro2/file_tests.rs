//! Whole files: the public samples, and what is said of a damaged one.

use proptest::collection::vec;
use proptest::prelude::*;

use super::codes::{AccountStatus, Ecoa};
use super::coding::Coding;
use super::layout::Layout;
use super::segments::{Account, Base, Header, J1, Segment};
use super::tables::{Indicator, SpecialComment};
use super::trailer::Trailer;
use super::{Metro2Form, Reader};
use crate::domain::*;
use crate::formats::{Reject, Row};

const FIXED: &[u8] = include_bytes!("../../../tests/vectors/metro2/unpacked_fixed_file.dat");
const VARIABLE: &[u8] = include_bytes!("../../../tests/vectors/metro2/unpacked_variable_file.dat");
const REQUEST: &[u8] = include_bytes!("../../../tests/vectors/metro2/unpacked_fixed_request.dat");

pub(super) fn rows(file: &[u8]) -> Vec<Row> {
    Reader::new(file).unwrap().map(Result::unwrap).collect()
}

fn rejects(file: &[u8]) -> Vec<Reject> {
    rows(file)
        .into_iter()
        .filter_map(|row| row.result.err())
        .collect()
}

fn accounts(file: &[u8]) -> Vec<String> {
    let records = rows(file).into_iter().filter_map(|row| row.result.ok());
    let loans = records.filter_map(|record| {
        if let Body::Loan(loan) = record.body {
            Some(loan.account_ref)
        } else {
            None
        }
    });
    loans.collect()
}

fn day(text: &str) -> Option<Day> {
    Some(text.parse().unwrap())
}

/// A sound account; its number is `100` and `number`.
fn account(number: u64) -> Account {
    Account {
        base: Base {
            processing_indicator: 1,
            time_stamp: day("2024-03-31").map(|day| day.start()),
            identification_number: "55555".to_owned(),
            consumer_account_number: format!("A{}", 100 + number),
            date_opened: day("2023-01-15"),
            highest_credit: 5_000,
            terms_duration: "024".to_owned(),
            scheduled_monthly_payment: 230,
            payment_history_profile: "0000000000BBBBBBBBBBBBBB".to_owned(),
            current_balance: 3_000,
            date_account_information: day("2024-03-31"),
            surname: "LOPEZ".to_owned(),
            first_name: "MARIA".to_owned(),
            social_security_number: 536_904_399 - number,
            date_of_birth: day("1980-05-17"),
            ..Base::default()
        },
        segments: Vec::new(),
    }
}

fn joint(mut account: Account) -> Account {
    account.segments.push(Segment::J1(Box::new(J1 {
        surname: "LOPEZ".to_owned(),
        first_name: "JUAN".to_owned(),
        social_security_number: 536_904_299,
        ecoa: Ecoa::Joint,
        ..J1::default()
    })));
    account.base.ecoa = Ecoa::Joint;
    account
}

/// Descriptor words and body of one record.
fn framed(body: &[u8], form: Metro2Form) -> Vec<u8> {
    let length = body.len() + 4;
    let word = |length: usize| match form.coding() {
        Coding::Character => format!("{length:04}").into_bytes(),
        Coding::Packed => {
            let [high, low] = u16::try_from(length).unwrap().to_be_bytes();
            vec![high, low, 0, 0]
        }
    };
    let mut bytes = Vec::new();
    if form.in_blocks() {
        bytes.extend(word(length + 4));
    }
    bytes.extend(word(length));
    bytes.extend(body);
    bytes
}

/// The records of a file, header and trailer included, each with its words.
fn pieces(accounts: &[Account], form: Metro2Form) -> Vec<Vec<u8>> {
    let coding = form.coding();
    let mut header = b"HEADER".to_vec();
    Header::default().write(coding, &mut header).unwrap();
    let mut pieces = vec![framed(&header, form)];
    let mut totals = Trailer::default();
    for account in accounts {
        let mut body = Vec::new();
        account.write(coding, &mut body).unwrap();
        pieces.push(framed(&body, form));
        totals.count(account);
    }
    totals.block_count = u64::try_from(accounts.len()).unwrap() + 2;
    let mut trailer = b"TRAILER".to_vec();
    totals.write(coding, &mut trailer).unwrap();
    pieces.push(framed(&trailer, form));
    pieces
}

fn file(accounts: &[Account], form: Metro2Form) -> Vec<u8> {
    pieces(accounts, form).concat()
}

fn three() -> Vec<Account> {
    vec![account(1), joint(account(2)), account(3)]
}

const SOUND: [&str; 4] = ["A101", "A102", "A102", "A103"];

#[test]
fn a_sound_file_is_read_in_every_form() {
    for form in Metro2Form::ALL {
        let file = file(&three(), form);
        assert_eq!(rejects(&file), [], "{form:?}");
        assert_eq!(accounts(&file), SOUND, "{form:?}");
    }
    let lines = pieces(&three(), Metro2Form::Fixed).join(b"\r\n".as_slice());
    assert_eq!(rejects(&lines), []);
    assert_eq!(accounts(&lines), SOUND);
}

#[test]
fn the_public_samples_are_read_and_what_they_lack_is_named() {
    let refused: Vec<_> = rejects(REQUEST)
        .into_iter()
        .map(|r| (r.line, r.field))
        .collect();
    assert_eq!(refused, [(2, "base date_opened".to_owned())]);
    for sample in [FIXED, VARIABLE] {
        let refused: Vec<_> = rejects(sample)
            .into_iter()
            .map(|r| (r.line, r.field))
            .collect();
        let expected = [
            (2, "base date_opened"),
            (3, "trailer total_social_security_numbers"),
            (3, "trailer total_social_security_numbers_base"),
        ];
        assert_eq!(
            refused,
            expected.map(|(line, field)| (line, field.to_owned()))
        );
    }
    let record = &REQUEST[427..1427];
    let account = Account::read(record, Coding::Character).unwrap();
    assert_eq!(account.segments.len(), 5);
    assert_eq!(account.base.account_status, AccountStatus::PaidCollection);
    assert_eq!(
        account.base.special_comment,
        Some(SpecialComment::Refinanced)
    );
    let mut again = b"1000".to_vec();
    account.write(Coding::Character, &mut again).unwrap();
    again.resize(1_000, b' ');
    assert!(again == record, "written as it was read");
}

/// What is said of a file whose second account was changed: one reject, and the others stay.
fn one_damage(form: Metro2Form, field: &str, change: impl Fn(&mut Vec<u8>)) {
    let mut pieces = pieces(&three(), form);
    change(&mut pieces[2]);
    let file = pieces.concat();
    let found = rejects(&file);
    let named: Vec<_> = found.iter().map(|r| (r.line, r.field.as_str())).collect();
    assert_eq!(named, [(3, field)], "{form:?} {found:?}");
    assert_eq!(accounts(&file), ["A101", "A103"], "{form:?} {field}");
}

/// Position in a framed record of the byte at `position` of a base segment, from 1.
fn at(form: Metro2Form, name: &str) -> usize {
    let (first, _) = Base::positions(name, form.coding()).unwrap();
    first - 1 + if form.in_blocks() { 4 } else { 0 }
}

#[test]
fn a_damaged_record_is_named_once_and_costs_itself_alone() {
    for form in Metro2Form::ALL {
        let status = at(form, "account_status");
        one_damage(form, "base account_status", |record| record[status] = b'?');
        let balance = at(form, "current_balance");
        one_damage(form, "base current_balance", |record| {
            record[balance] = b'?';
        });
        let opened = at(form, "date_opened");
        one_damage(form, "base date_opened", |record| {
            record[opened..opened + 2].fill(b'9');
        });
        one_damage(form, "record record_descriptor", |record| {
            record.truncate(300);
        });
        one_damage(form, "record record_descriptor", |record| {
            record.drain(200..210);
        });
        let word = if form.in_blocks() { 4 } else { 0 };
        one_damage(form, "record record_descriptor", |record| {
            record[word..word + 2].fill(b'9');
        });
        one_damage(form, "record record_descriptor", |record| {
            record[word..word + 4].fill(b'?');
        });
        one_damage(form, "record segment_identifier", |record| {
            let end = record.len() - 100;
            record[end..end + 2].copy_from_slice(b"Q7");
        });
        let (first, last) = J1::positions("date_of_birth", form.coding()).unwrap();
        one_damage(form, "J1 date_of_birth", |record| {
            let end = record.len() - 100;
            record[end + first - 1..end + last].fill(b'7');
        });
    }
}

#[test]
fn a_wrong_block_word_is_named_once_and_costs_nothing() {
    for form in [Metro2Form::Variable, Metro2Form::Packed] {
        for damage in [b"0999", b"0001", b"\x04\x04\0\0", b"?!!?"] {
            let mut pieces = pieces(&three(), form);
            pieces[2][..4].copy_from_slice(damage);
            let file = pieces.concat();
            let found: Vec<_> = rejects(&file)
                .into_iter()
                .map(|r| (r.line, r.field))
                .collect();
            assert_eq!(
                found,
                [(3, "record block_descriptor".to_owned())],
                "{form:?}"
            );
            assert_eq!(accounts(&file), SOUND, "{form:?}");
        }
    }
}

#[test]
fn a_damaged_length_of_the_header_is_told_once() {
    for form in Metro2Form::ALL {
        let words = if form.in_blocks() { 4..8 } else { 0..4 };
        for damage in [b"\xff\xff\0\0", b"9999", b"????"] {
            let mut file = file(&three(), form);
            file[words.clone()].copy_from_slice(damage);
            if form == Metro2Form::Packed && damage[2] != 0 {
                file[words.start + 2..words.end].fill(0);
            }
            let found: Vec<_> = rejects(&file)
                .into_iter()
                .map(|r| (r.line, r.field))
                .collect();
            if form != Metro2Form::Packed && damage[2] == 0 && !form.in_blocks() {
                continue;
            }
            assert_eq!(
                found,
                [(1, "record record_descriptor".to_owned())],
                "{form:?}"
            );
            assert_eq!(accounts(&file), SOUND, "{form:?}");
        }
    }
}

#[test]
fn the_trailer_is_checked() {
    for form in Metro2Form::ALL {
        let mut wrong = pieces(&three(), form);
        let (_, last) = Trailer::positions("total_status_11", form.coding()).unwrap();
        let offset = if form.in_blocks() { 4 } else { 0 };
        let digit = &mut wrong[4][offset + last - 1];
        *digit = match form.coding() {
            Coding::Character => b'7',
            Coding::Packed => 0x7c,
        };
        let wrong = wrong.concat();
        let found = rejects(&wrong);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(
            (found[0].line, found[0].field.as_str()),
            (5, "trailer total_status_11")
        );
        assert!(
            found[0].reason.contains("says 7, and the file has 3"),
            "{}",
            found[0]
        );
        assert_eq!(accounts(&wrong), SOUND);

        let mut missing = pieces(&three(), form);
        missing.pop();
        let found = rejects(&missing.concat());
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].line, found[0].field.as_str()), (5, "trailer"));

        let mut behind = pieces(&three(), form);
        behind.push(b"more".to_vec());
        behind.extend(pieces(&[account(9)], form));
        let behind = behind.concat();
        let found = rejects(&behind);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(
            (found[0].line, found[0].field.as_str()),
            (6, "trailer end_of_file")
        );
        assert_eq!(accounts(&behind), SOUND);
    }
}

#[test]
fn a_file_that_was_cut_off_keeps_what_it_has() {
    for form in Metro2Form::ALL {
        let pieces = pieces(&three(), form);
        let mut cut = pieces[..3].concat();
        cut.extend(&pieces[3][..200]);
        let found: Vec<_> = rejects(&cut)
            .into_iter()
            .map(|r| (r.line, r.field))
            .collect();
        let expected = [(4, "record record_descriptor"), (5, "trailer")];
        assert_eq!(
            found,
            expected.map(|(line, field)| (line, field.to_owned())),
            "{form:?}"
        );
        assert_eq!(accounts(&cut), ["A101", "A102", "A102"]);
    }
}

#[test]
fn reading_goes_on_behind_a_record() {
    let file = file(&three(), Metro2Form::Fixed);
    let mut reader = Reader::new(file.as_slice()).unwrap();
    reader.skip_through(3).unwrap();
    let rows: Vec<Row> = reader.map(Result::unwrap).collect();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].line, 4);
    assert!(rows[0].result.is_ok());
}

fn only(account: Account) -> Vec<Record> {
    let file = file(&[account], Metro2Form::Packed);
    rows(&file)
        .into_iter()
        .map(|row| row.result.unwrap())
        .collect()
}

fn loan(record: &Record) -> &Loan {
    let Body::Loan(loan) = &record.body else {
        panic!("{:?}", record.kind());
    };
    loan
}

#[test]
fn a_charge_off_becomes_a_loan_and_a_signal() {
    let mut account = account(1);
    account.base.account_status = AccountStatus::ChargedOff;
    account.base.amount_past_due = 3_000;
    account.base.original_charge_off = 3_100;
    account.base.date_first_delinquency = day("2023-08-14");
    account.base.payment_history_profile = "LL654321BBBBBBBBBBBBBBBB".to_owned();
    account.base.consumer_information = Some(Indicator::Petition7);
    let records = only(account);
    assert_eq!(records.len(), 2);
    let loan = loan(&records[0]);
    assert_eq!((loan.state, loan.dpd), (LoanState::ChargedOff, 260));
    assert_eq!(loan.treatment, Treatment::Insolvency);
    assert_eq!(loan.history.to_string(), "LL765432................");
    let Body::Signal(signal) = &records[1].body else {
        panic!("no signal");
    };
    assert_eq!(signal.kind, SignalKind::ChargeOff);
    assert_eq!(signal.about, Some(records[0].head.record_id));
    assert_eq!(Some(signal.event_on), day("2024-01-31"));
    assert_eq!(signal.amount, Some(Money::of(310_000, Currency::USD)));
}

#[test]
fn deleted_accounts_are_retracted_and_users_are_no_borrowers() {
    let mut deleted = joint(account(1));
    deleted.base.account_status = AccountStatus::Delete;
    assert!(only(deleted).iter().all(Record::is_retracted));
    let mut user = joint(account(1));
    if let Segment::J1(j1) = &mut user.segments[0] {
        j1.ecoa = Ecoa::AuthorisedUser;
    }
    assert_eq!(only(user).len(), 1);
}

proptest! {
    #[test]
    fn whatever_happens_to_one_record_the_others_are_read(
        place: prop::sample::Index,
        damage in vec(any::<u8>(), 0..40),
        lost in 0..60_usize,
    ) {
        for form in Metro2Form::ALL {
            let mut pieces = pieces(&three(), form);
            let from = place.index(pieces[2].len());
            let to = (from + lost).min(pieces[2].len());
            pieces[2].splice(from..to, damage.iter().copied());
            let file = pieces.concat();
            let found = accounts(&file);
            prop_assert!(found.contains(&"A101".to_owned()), "{form:?} {found:?}");
            prop_assert!(found.contains(&"A103".to_owned()), "{form:?} {found:?}");
            prop_assert!(rejects(&file).iter().all(|reject| reject.line > 2), "{form:?}");
        }
    }

    #[test]
    fn any_bytes_behind_a_header_come_to_an_end(bytes in vec(any::<u8>(), 0..3_000)) {
        for form in Metro2Form::ALL {
            let mut file = pieces(&[], form).swap_remove(0);
            file.extend(&bytes);
            let told = rows(&file);
            prop_assert!(told.last().is_some_and(|row| row.result.is_err()));
        }
    }
}
