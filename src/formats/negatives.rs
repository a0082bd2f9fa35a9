//! Malformed rows, each named for its one defect: every one is refused, for that defect.

use super::jsonl::from_line;

const LOAN: &str = concat!(
    r#"{"kind":"loan","record_id":"018f4d2e-0000-7000-8000-000000000001","version":2,"#,
    r#""reported_at":"2026-03-01T12:00:00Z","as_of":"2026-03-01T11:00:00Z","#,
    r#""expires_on":"2031-03-01","national_id":"cn-rid:11010519491231002X","#,
    r#""phone":"phone:+447700900123","name":"jose lopez maria","born":"1949-12-31","#,
    r#""account_ref":"A-1","lender_group":"north","product":"cash-loan","role":"sole","#,
    r#""state":"active","signed_at":"2026-01-10T08:00:00Z","#,
    r#""funded_at":"2026-01-10T09:00:00Z","opened_on":"2026-01-10","#,
    r#""maturity_on":"2026-07-10","principal":"1000.00 USD","outstanding":"800.00 USD","#,
    r#""past_due":"10.00 USD","instalment":"200.00 USD","term_days":181,"apr_bps":3600,"#,
    r#""dpd":5,"first_delinquency_on":"2026-02-24","history":"0.......................","#,
    r#""n_on_time":1,"n_late":0,"n_missed":1,"treatment":"none","dispute":"none","#,
    r#""transfer_link":"0011223344556677"}"#,
);

const APPLICATION: &str = concat!(
    r#"{"kind":"application","record_id":"018f4d2e-0000-7000-8000-000000000002","version":1,"#,
    r#""as_of":"2026-03-01T11:00:00Z","phone":"phone:+447700900123","#,
    r#""application_kind":"application","purpose":"credit-application","#,
    r#""product":"cash-loan","amount":"1000.00 USD","term_days":181,"channel":"app","#,
    r#""at":"2026-03-01T10:00:00Z","outcome":"approved","outcome_at":"2026-03-01T10:30:00Z"}"#,
);

const HOLD: &str = concat!(
    r#"{"kind":"hold","record_id":"018f4d2e-0000-7000-8000-000000000003","version":1,"#,
    r#""as_of":"2026-03-01T11:00:00Z","national_id":"in-pan:ACUPA7085R","#,
    r#""amount":"1000.00 USD","signed_at":"2026-03-01T10:00:00Z","#,
    r#""expires_at":"2026-03-04T10:00:00Z","state":"converted","#,
    r#""loan_id":"018f4d2e-0000-7000-8000-000000000001"}"#,
);

const SIGNAL: &str = concat!(
    r#"{"kind":"signal","record_id":"018f4d2e-0000-7000-8000-000000000004","version":1,"#,
    r#""as_of":"2026-03-01T11:00:00Z","national_id":"us-ssn:536904399","#,
    r#""signal_kind":"fraud-confirmed","fraud_type":"takeover","event_on":"2026-02-01","#,
    r#""evidence":"abababababababababababababababababababababababababababababababab","#,
    r#""proof":"four-part-rejected","#,
    r#""filed_by":"first desk","reviewed_by":"second desk","amount":"5.00 USD"}"#,
);

const TOMBSTONE: &str = concat!(
    r#"{"kind":"loan","record_id":"018f4d2e-0000-7000-8000-000000000001","version":3,"#,
    r#""as_of":"2026-03-02T11:00:00Z","retraction":"wrong-person","#,
    r#""national_id":"cn-rid:11010519491231002X"}"#,
);

/// Defects, one a line; the file says what its columns are.
const DEFECTS: &str = include_str!("../../tests/vectors/data/malformed-rows.tsv");

/// Parts of the sound rows' identifiers and names, which no reject may repeat.
const SECRETS: [&str; 5] = [
    "11010519491231002",
    "7700900123",
    "lopez",
    "ACUPA7085R",
    "536904399",
];

fn sound_row(name: &str) -> &'static str {
    match name {
        "loan" => LOAN,
        "application" => APPLICATION,
        "hold" => HOLD,
        "signal" => SIGNAL,
        "tombstone" => TOMBSTONE,
        other => panic!("no sound row is called {other}"),
    }
}

#[test]
fn the_sound_rows_are_accepted() {
    for row in [LOAN, APPLICATION, HOLD, SIGNAL, TOMBSTONE] {
        assert_eq!(from_line(row).map(|_| ()), Ok(()));
    }
}

#[test]
fn every_defect_is_refused_and_named() {
    let lines = DEFECTS.lines().filter(|line| !line.starts_with('#'));
    let mut defects = 0;
    for line in lines {
        let columns: Vec<&str> = line.split('\t').collect();
        let &[defect, name, from, to, field, class] = columns.as_slice() else {
            panic!("not six columns: {line}");
        };
        let sound = sound_row(name);
        let from = if from == "*" { sound } else { from };
        assert_eq!(
            sound.matches(from).count(),
            1,
            "{defect}: replaces one place"
        );
        let reject = from_line(&sound.replace(from, to)).expect_err(defect);
        assert_eq!(
            (reject.field.as_str(), reject.class),
            (field, class),
            "{defect}: {reject}"
        );
        let shown = format!("{reject} {reject:?}");
        let leak = SECRETS.iter().find(|secret| shown.contains(**secret));
        assert_eq!(leak, None, "{defect}: {reject}");
        defects += 1;
    }
    assert!(defects >= 60, "{defects} defects");
}
