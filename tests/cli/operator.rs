//! Operators on other machines: credentials issued, used, refused, by the documented commands only.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::shell::{Served, Town, creditmesh, free_address, sample};

const BORROWER: &str = "us-ssn:536-90-4399";

/// Opens the operator port of a member whose node is stopped; gives its address.
fn open_port(town: &Town, member: &str) -> String {
    let address = free_address();
    let path = Path::new(&town.path(member)).join("node.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let line = format!("operator_listen = \"{address}\"\n");
    std::fs::write(&path, text + &line).unwrap();
    address
}

fn issue(town: &Town, member: &str, operator: &str, out: &str) -> serde_json::Value {
    let (dir, out) = (town.path(member), town.path(out));
    let run = [
        "cert", "operator", operator, "--dir", &dir, "--out", &out, "--json",
    ];
    creditmesh(&run).json(0)
}

#[test]
fn a_loan_system_elsewhere_works_with_the_credentials_that_its_node_issued() {
    let town = Town::found();
    town.join("alpha");
    let (alpha, loans) = (town.path("alpha"), town.path("loans-1"));
    creditmesh(&[
        "cert", "operator", "loans-1", "--dir", &alpha, "--out", &loans,
    ])
    .says(0, &["set operator_listen in node.toml"]);
    let again = [
        "cert", "operator", "loans-1", "--dir", &alpha, "--out", &loans,
    ];
    creditmesh(&again).says(4, &["is there already", "--out"]);
    let key = Path::new(&loans).join("operator.key");
    let mode = std::fs::metadata(&key).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let port = open_port(&town, "alpha");
    let at = ["--connect", &port, "--credentials", &loans];
    let there = |arguments: &[&str]| creditmesh(&[arguments, &at[..]].concat());
    there(&["node", "status"]).says(4, &["cannot reach the node", "nobody listens there"]);
    let node = Served::start(&alpha);
    assert_eq!(
        there(&["node", "status", "--json"]).json(0)["member"],
        "alpha"
    );

    let ask = [
        "assess",
        "--id",
        BORROWER,
        "--consent",
        "C-1",
        "--amount",
        "1200.00 USD",
        "--json",
    ];
    // Alone in its network: nobody was asked, so nothing is known.
    let answer = there(&ask).json(3);
    let application = answer["application_id"].as_str().unwrap();
    assert_eq!(
        there(&["hold", application, "--json"]).json(0)["version"],
        1
    );
    there(&["recheck", application, "--json"]).json(3);
    let book = town.path("loans.csv");
    std::fs::copy(sample("loans.csv"), &book).unwrap();
    let imported = there(&["records", "import", &book, "--json"]).json(0);
    assert!(imported["new"].as_u64() > Some(0), "{imported}");
    let listed = there(&["records", "export", "--kind", "loan"]);
    let here = creditmesh(&["records", "export", "--kind", "loan", "--dir", &alpha]);
    assert_eq!(listed.stdout, here.stdout);

    // A node that runs issues them too, through its socket; and takes them back.
    let second = issue(&town, "alpha", "loans-2", "loans-2");
    assert_eq!(second["operator"], "loans-2");
    assert_eq!(second["serial"].as_str().unwrap().len(), 32);
    let two = town.path("loans-2");
    let status = ["node", "status", "--connect", &port, "--credentials", &two];
    creditmesh(&status).says(0, &[]);
    drop(node);
    let toml = Path::new(&alpha).join("node.toml");
    let text = std::fs::read_to_string(&toml).unwrap();
    std::fs::write(&toml, text + "operator_refused = [\"loans-2\"]\n").unwrap();
    let _node = Served::start(&alpha);
    creditmesh(&status).says(1, &["loans-2 is refused", "operator_refused"]);
    there(&["node", "status"]).says(0, &[]);

    what_is_wrong_with_credentials_is_told(&town, &port);
}

fn what_is_wrong_with_credentials_is_told(town: &Town, port: &str) {
    town.request("beta");
    issue(town, "beta", "loans-1", "of-beta");
    let status = |credentials: &str| {
        creditmesh(&[
            "node",
            "status",
            "--connect",
            port,
            "--credentials",
            credentials,
        ])
    };
    let beta = town.path("of-beta");
    status(&beta).says(1, &["refused here", "not by the operator authority"]);
    for nobody in ["localhost", "no-such-host.invalid:7444"] {
        let run = [
            "node",
            "status",
            "--connect",
            nobody,
            "--credentials",
            &beta,
        ];
        creditmesh(&run).says(4, &["no address is known", "HOST:PORT"]);
    }
    status(&town.path("nowhere")).says(4, &["nowhere", "No such file"]);
    let key = Path::new(&beta).join("operator.key");
    let mode = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(&key, mode).unwrap();
    status(&beta).says(4, &["others can read it", "chmod 600"]);

    let dir = town.path("alpha");
    creditmesh(&["node", "status", "--connect", port]).says(2, &["--credentials"]);
    let both = [
        "node",
        "status",
        "--connect",
        port,
        "--credentials",
        &beta,
        "--dir",
        &dir,
    ];
    creditmesh(&both).says(2, &["--dir"]);
    let out = town.path("never");
    for (name, days, words) in [("Loans 1", "90", "a-z"), ("loans-3", "0", "1..=366")] {
        let run = [
            "cert", "operator", name, "--dir", &dir, "--out", &out, "--days", days,
        ];
        creditmesh(&run).says(2, &[words]);
    }
    assert!(!Path::new(&out).exists());
}
