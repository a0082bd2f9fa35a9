//! Round trips of both formats, their bounds, and the files and documentation that go with them.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;

use super::jsonl::{from_line, from_sealed_line, to_line};
use super::*;
use crate::domain::arbitrary::any_record;
use crate::domain::*;

const LOANS_CSV: &str = include_str!("../../samples/loans.csv");
const APPLICATIONS_CSV: &str = include_str!("../../samples/applications.csv");
const HOLDS_CSV: &str = include_str!("../../samples/holds.csv");
const SIGNALS_CSV: &str = include_str!("../../samples/signals.csv");
const RECORDS_JSONL: &str = include_str!("../../samples/records.jsonl");
const PAGE: &str = include_str!("../../docs/records.md");
const SCHEMA: &str = include_str!("../../docs/records.schema.json");

fn rows(format: Format, file: &[u8], region: Option<&str>) -> Vec<Row> {
    let reader = Reader::new(format, file, region).unwrap();
    reader.map(|row| row.unwrap()).collect()
}

fn records(format: Format, file: &str) -> Vec<Record> {
    rows(format, file.as_bytes(), None)
        .into_iter()
        .map(|row| row.result.unwrap())
        .collect()
}

fn csv_of(kind: RecordKind, records: &[Record]) -> String {
    let mut file = Vec::new();
    let mut writer = csv::Writer::new(&mut file, kind).unwrap();
    for record in records {
        writer.write(record).unwrap();
    }
    writer.flush().unwrap();
    drop(writer);
    String::from_utf8(file).unwrap()
}

fn jsonl_of(records: &[Record]) -> String {
    let mut file = Vec::new();
    let mut writer = jsonl::Writer::new(&mut file);
    for record in records {
        writer.write(record).unwrap();
    }
    writer.flush().unwrap();
    String::from_utf8(file).unwrap()
}

proptest! {
    #[test]
    fn a_line_tells_the_whole_record(record in any_record()) {
        let line = to_line(&record);
        prop_assert_eq!(from_line(&line), Ok(record.clone()));
        prop_assert_eq!(from_sealed_line(&line), Ok(record));
        prop_assert!(!line.contains('\n'));
    }

    #[test]
    fn export_import_export_is_byte_identical(records_ in vec(any_record(), 0..8)) {
        let first = jsonl_of(&records_);
        prop_assert_eq!(jsonl_of(&records(Format::JsonLines, &first)), first);
        for kind in RecordKind::ALL {
            let of_kind: Vec<Record> =
                records_.iter().filter(|r| r.kind() == *kind).cloned().collect();
            let first = csv_of(*kind, &of_kind);
            let again = records(Format::Csv, &first);
            prop_assert_eq!(&again, &of_kind);
            prop_assert_eq!(csv_of(*kind, &again), first);
        }
    }

    #[test]
    fn no_csv_value_starts_a_formula(record in any_record()) {
        let file = csv_of(record.kind(), std::slice::from_ref(&record));
        let mut reader = ::csv::Reader::from_reader(file.as_bytes());
        for value in reader.records().next().unwrap().unwrap().iter() {
            prop_assert!(!value.starts_with(['=', '+', '-', '@']), "{}", value);
        }
    }

    #[test]
    fn arbitrary_bytes_give_rejects_and_no_panic(bytes in vec(any::<u8>(), 0..400)) {
        for row in rows(Format::JsonLines, &bytes, Some("US")) {
            prop_assert!(row.result.is_err());
        }
        let mut file = b"kind,record_id,as_of,version,account_ref,dpd\n".to_vec();
        file.extend(bytes);
        for row in rows(Format::Csv, &file, Some("US")) {
            prop_assert!(row.result.is_err());
        }
    }

    #[test]
    fn a_damaged_line_is_refused_or_read_without_panic(
        record in any_record(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut line = to_line(&record).into_bytes();
        let at = at.index(line.len());
        line[at] = byte;
        prop_assert!(rows(Format::JsonLines, &line, None).len() <= 2);
    }
}

#[test]
fn a_broken_line_rejects_only_itself() {
    let sound = RECORDS_JSONL.lines().next().unwrap();
    let mut file = format!("\u{feff}{sound}\r\n{{\"kind\":1}}\n\n   \n").into_bytes();
    file.extend(b"\xff\xfe\n");
    file.extend(vec![b'x'; ROW_BYTES_MAX + 1]);
    file.extend(format!("\n{sound}").as_bytes());
    let found: Vec<(u64, bool)> = rows(Format::JsonLines, &file, None)
        .iter()
        .map(|row| (row.line, row.result.is_ok()))
        .collect();
    assert_eq!(
        found,
        [(1, true), (2, false), (5, false), (6, false), (7, true)]
    );
    let last = rows(Format::JsonLines, &file, None).pop().unwrap();
    assert_eq!(last.end_offset, u64::try_from(file.len()).unwrap());
}

#[test]
fn a_line_without_end_is_passed_over_in_bounded_memory() {
    let endless = io::repeat(b'x').take(64 * 1024 * 1024);
    let mut reader = jsonl::Reader::new(endless, None);
    let row = reader.next().unwrap().unwrap();
    assert!(row.result.unwrap_err().reason.contains("longer than"));
    assert!(reader.next().is_none());
}

#[test]
fn a_line_may_be_as_long_as_the_bound() {
    let line = |length: usize| {
        let sound = RECORDS_JSONL.lines().next().unwrap();
        format!("{sound}{}\r\n", " ".repeat(length - sound.len()))
    };
    let accepted = |file: String| {
        let row = rows(Format::JsonLines, file.as_bytes(), None).remove(0);
        row.result.is_ok()
    };
    assert!(accepted(line(ROW_BYTES_MAX)));
    assert!(!accepted(line(ROW_BYTES_MAX + 1)));
}

#[test]
fn an_interrupted_import_goes_on_after_the_line_it_reached() {
    let mut reader = Reader::new(Format::Csv, LOANS_CSV.as_bytes(), None).unwrap();
    reader.skip_through(2).unwrap();
    assert_eq!(reader.next().unwrap().unwrap().line, 3);
    reader.skip_through(1_000).unwrap();
    assert!(reader.next().is_none());
}

#[test]
fn missing_versions_times_and_defaults_are_filled_in() {
    let row = "kind,record_id,as_of,phone,amount,signed_at,state\n\
               hold,018f4d2e000070008000000000000003,2026-03-01T19:00:00+08:00,\
               138 0013 8000,10 CNY,2026-03-01T10:00:00Z,live\n";
    let record = rows(Format::Csv, row.as_bytes(), Some("CN"))
        .remove(0)
        .result
        .unwrap();
    assert_eq!(
        to_line(&record),
        "{\"kind\":\"hold\",\"record_id\":\"018f4d2e-0000-7000-8000-000000000003\",\
         \"version\":1,\"reported_at\":\"2026-03-01T11:00:00Z\",\
         \"as_of\":\"2026-03-01T11:00:00Z\",\"phone\":\"phone:+8613800138000\",\
         \"amount\":\"10.00 CNY\",\"signed_at\":\"2026-03-01T10:00:00Z\",\
         \"expires_at\":\"2026-03-04T10:00:00Z\",\"state\":\"live\"}"
    );
}

#[test]
fn formulas_are_guarded_and_come_back_as_they_were() {
    let sound = records(Format::Csv, LOANS_CSV).remove(0);
    for (reference, written) in [
        ("=1+1", "'=1+1"),
        ("'=1+1", "''=1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("-17", "'-17"),
        ("'quoted'", "'quoted'"),
        ("a=b", "a=b"),
        ("a,\"b\"", "\"a,\"\"b\"\"\""),
    ] {
        let mut record = sound.clone();
        if let Body::Loan(loan) = &mut record.body {
            loan.account_ref = reference.to_owned();
        }
        let file = csv_of(RecordKind::Loan, std::slice::from_ref(&record));
        assert!(
            file.contains(&format!(",{written},")),
            "{reference}: {file}"
        );
        assert_eq!(records(Format::Csv, &file), [record]);
    }
}

#[test]
fn malformed_headers_name_the_column() {
    let error = |header: &str| {
        Reader::new(Format::Csv, header.as_bytes(), None)
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default()
    };
    assert!(error("").contains("empty"));
    assert!(error("kind,record_id,as_of,\"x").contains("first line"));
    assert!(error("kind,record_id,as_of,colour").contains("unknown column colour"));
    assert!(error("kind,record_id,as_of,kind").contains("column kind stands twice"));
    assert!(error("kind,as_of").contains("column record_id is missing"));
    assert!(error("kind,record_id,as_of,13800138000").contains("(not a name)"));
    assert!(error(&"x".repeat(ROW_BYTES_MAX + 2)).contains("first line"));
}

#[test]
fn malformed_csv_rows_name_the_defect() {
    let header = "kind,record_id,as_of,account_ref,dpd\n";
    for (row, field, reason) in [
        (
            "loan,1,2",
            "line",
            "has 3 values where the first line has 5 columns",
        ),
        ("loan,1,2,3,4,5", "line", "has 6 values"),
        ("loan,1,2,\"a,4", "line", "opening quote"),
        ("loan,1,2,\"a\"b,4", "line", "after a closing quote"),
        ("loan,1,2,a\"b,4", "line", "quote inside"),
        ("loan,1,2,a,+4", "dpd", "whole number"),
        ("loan,1,2,a,4.0", "dpd", "whole number"),
        ("loan,1,2,a, 4", "dpd", "whole number"),
        ("hold,1,2,a,4", "account_ref", "must be empty in a hold row"),
        (",1,2,a,4", "kind", "is missing"),
    ] {
        let file = format!("{header}{row}\n");
        let reject = rows(Format::Csv, file.as_bytes(), None)
            .remove(0)
            .result
            .unwrap_err();
        assert_eq!((reject.line, reject.field.as_str()), (2, field), "{row}");
        assert!(reject.reason.contains(reason), "{row}: {reject}");
    }
}

#[test]
fn rejects_are_written_without_values() {
    let mut file = Vec::new();
    let mut writer = RejectWriter::new(&mut file).unwrap();
    let row = RECORDS_JSONL.lines().next().unwrap().replace("2X", "21");
    writer.write(&from_line(&row).unwrap_err()).unwrap();
    writer.flush().unwrap();
    drop(writer);
    assert_eq!(
        String::from_utf8(file).unwrap(),
        "line,field,class,reason\n1,national_id,cn-rid,the resident identity number's last \
         character does not match the others (GB 11643)\n"
    );
}

#[test]
fn file_names_tell_the_format() {
    assert_eq!(Format::of_name("book.CSV").unwrap(), Format::Csv);
    assert_eq!(
        Format::of_name("a.b/book.jsonl").unwrap(),
        Format::JsonLines
    );
    assert!(Format::of_name("book.xlsx").is_err());
}

#[test]
fn samples_are_canonical() {
    for (kind, file) in [
        (RecordKind::Loan, LOANS_CSV),
        (RecordKind::Application, APPLICATIONS_CSV),
        (RecordKind::Hold, HOLDS_CSV),
        (RecordKind::Signal, SIGNALS_CSV),
    ] {
        assert_eq!(csv_of(kind, &records(Format::Csv, file)), file);
    }
    assert_eq!(
        jsonl_of(&records(Format::JsonLines, RECORDS_JSONL)),
        RECORDS_JSONL
    );
}

#[test]
fn samples_cover_every_column_and_merge_without_conflict() {
    let all = records(Format::JsonLines, RECORDS_JSONL);
    for kind in RecordKind::ALL {
        let used: BTreeSet<&str> = all
            .iter()
            .filter(|record| record.kind() == *kind)
            .flat_map(encode::encode)
            .map(|(name, _)| name)
            .collect();
        let missing: Vec<&str> = columns(*kind)
            .map(|column| column.name)
            .filter(|name| columns::is_body_column(name) && !used.contains(name))
            .collect();
        assert!(missing.is_empty(), "{kind}: no sample of {missing:?}");
    }
    let mut newest: std::collections::BTreeMap<RecordId, Record> = Default::default();
    for record in all {
        let id = record.head.record_id;
        merge(newest.get(&id), &record).unwrap();
        newest.insert(id, record);
    }
    assert!(newest.values().any(Record::is_retracted));
}

#[test]
fn the_page_describes_every_column_and_word() {
    for kind in RecordKind::ALL {
        for column in columns(*kind) {
            assert!(
                PAGE.contains(&format!("\n| `{}` |", column.name)),
                "{}",
                column.name
            );
        }
    }
    for word in words() {
        assert!(PAGE.contains(&format!("`{word}`")), "{word}");
    }
}

#[test]
fn the_schema_has_exactly_these_columns_and_words() {
    let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
    for kind in RecordKind::ALL {
        let properties = schema["$defs"][kind.word()]["properties"]
            .as_object()
            .unwrap();
        let named: BTreeSet<&str> = properties.keys().map(String::as_str).collect();
        let known: BTreeSet<&str> = columns(*kind).map(|column| column.name).collect();
        assert_eq!(named, known, "{kind}");
    }
    for word in words() {
        assert!(SCHEMA.contains(&format!("\"{word}\"")), "{word}");
    }
}

/// Every word that a column may hold.
fn words() -> impl Iterator<Item = &'static str> {
    macro_rules! all {
        ($($type:ident)*) => {
            std::iter::empty()$(.chain($type::ALL.iter().map(|value| value.word())))*
        };
    }
    all!(RecordKind RetractionReason Product LoanRole LoanState Treatment Dispute ApplicationKind
        Purpose Channel ApplicationOutcome SignalKind FraudType)
    .chain(["live", "converted", "released", "expired"])
}
