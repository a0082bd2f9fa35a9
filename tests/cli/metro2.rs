//! Metro 2 at the command line: export in every form, import elsewhere, damage named.

use serde_json::{Value, json};

use super::shell::{Run, Town, creditmesh};

/// A loan of 5,000 dollars with this account number, late or not.
fn loan(number: usize, is_late: bool) -> String {
    let mut row = json!({
        "kind": "loan", "record_id": format!("019c0000-0000-7000-8000-{number:012x}"),
        "reported_at": "2026-01-31T08:30:00Z", "as_of": "2026-01-31T00:00:00Z",
        "national_id": format!("us-ssn:53690{number:04}"), "name": "maria lopez",
        "born": "1980-05-17", "account_ref": format!("NB-{number}"),
        "product": "instalment-unsecured", "state": "active",
        "signed_at": "2025-06-15T00:00:00Z", "opened_on": "2025-06-15",
        "maturity_on": "2027-06-15", "term_days": 730, "principal": "5000.00 USD",
        "outstanding": "3999.60 USD", "past_due": "0.00 USD", "dpd": 0,
    });
    if is_late {
        row["dpd"] = json!(40);
        row["past_due"] = json!("460.00 USD");
        row["first_delinquency_on"] = json!("2025-12-22");
    }
    row.to_string()
}

fn import(dir: &str, file: &str, more: &[&str]) -> Run {
    let fixed = ["records", "import", file, "--dir", dir, "--json"];
    creditmesh(&[&fixed[..], more].concat())
}

fn export(dir: &str, format: &str, out: &str) -> Value {
    let fixed = [
        "records", "export", "--dir", dir, "--format", format, "--out", out,
    ];
    let names = [
        "--identification",
        "55555",
        "--reporter",
        "NORTH BANK",
        "--json",
    ];
    creditmesh(&[&fixed[..], &names[..]].concat()).json(1)
}

/// A member with three loans in dollars and one in another currency.
fn furnished() -> (Town, String) {
    let town = Town::found();
    town.join("alpha");
    town.join("beta");
    let alpha = town.path("alpha");
    let file = town.path("book.jsonl");
    let other = loan(4, false).replace("USD", "EUR");
    let rows = [loan(1, false), loan(2, true), loan(3, false), other];
    std::fs::write(&file, rows.join("\n")).unwrap();
    assert_eq!(import(&alpha, &file, &[]).json(0)["new"], 4);
    (town, alpha)
}

#[test]
fn loans_go_out_as_metro_2_and_come_in_elsewhere() {
    let (town, alpha) = furnished();
    let beta = town.path("beta");
    for (format, bytes) in [
        ("metro2", 5 * 426),
        ("metro2-variable", 5 * 430),
        ("metro2-packed", 5 * 370),
    ] {
        let out = town.path(format);
        let told = export(&alpha, format, &out);
        assert_eq!(
            (&told["exported"], &told["rejected"]),
            (&json!(3), &json!(1)),
            "{told}"
        );
        let rejects = std::fs::read_to_string(told["rejects_file"].as_str().unwrap()).unwrap();
        assert!(
            rejects.contains("principal,money,must be in USD"),
            "{rejects}"
        );
        assert_eq!(std::fs::metadata(&out).unwrap().len(), bytes, "{format}");
        let known = usize::from(format != "metro2") * 3;
        let filed = import(&beta, &out, &["--format", "metro2"]).json(0);
        assert_eq!(
            (&filed["new"], &filed["unchanged"]),
            (&json!(3 - known), &json!(known))
        );
        assert_eq!(filed["gaps"], 0, "{filed}");
    }
    let book = town.path("beta.jsonl");
    creditmesh(&["records", "export", "--dir", &beta, "--out", &book]).says(0, &[]);
    let book = std::fs::read_to_string(book).unwrap();
    for told in [
        r#""account_ref":"NB-2""#,
        r#""outstanding":"4000.00 USD""#,
        r#""dpd":30"#,
        r#""name":"lopez maria""#,
        r#""signed_at":"2025-06-15T00:00:00Z""#,
    ] {
        assert!(book.contains(told), "{told}: {book}");
    }
}

#[test]
fn a_damaged_file_names_record_field_and_position() {
    let (town, alpha) = furnished();
    let beta = town.path("beta");
    let out = town.path("loans.dat");
    export(&alpha, "metro2", &out);
    let mut bytes = std::fs::read(&out).unwrap();
    bytes[2 * 426 + 154] = b'X';
    std::fs::write(&out, bytes).unwrap();
    let filed = import(&beta, &out, &["--format", "metro2"]).json(1);
    assert_eq!(
        (&filed["new"], &filed["rejected"]),
        (&json!(2), &json!(1)),
        "{filed}"
    );
    let rejects = std::fs::read_to_string(filed["rejects_file"].as_str().unwrap()).unwrap();
    let line = "3,base current_balance,number,positions 155 to 163: must be digits";
    assert_eq!(rejects.lines().nth(1), Some(line), "{rejects}");
}

#[test]
fn what_metro_2_needs_is_said() {
    let (town, alpha) = furnished();
    let out = town.path("loans.dat");
    let fixed = ["records", "export", "--dir", &alpha, "--format", "metro2"];
    creditmesh(&fixed).says(2, &["--identification"]);
    let named = [
        "--out",
        &out,
        "--reporter",
        "NORTH BANK",
        "--identification",
        "1 2",
    ];
    creditmesh(&[&fixed[..], &named[..]].concat()).says(2, &["5 to 20 characters"]);
    let other = ["--kind", "signal"];
    creditmesh(&[&fixed[..], &other[..]].concat()).says(2, &["loans only"]);
    std::fs::write(&out, "no header").unwrap();
    import(&alpha, &out, &["--format", "metro2"]).says(1, &["HEADER"]);
}
