//! Whom a node believes, as a person sees and decides it.

use super::shell::{Served, Town, creditmesh};

#[test]
fn a_person_sees_the_standing_of_peers_and_decides_about_it() {
    let town = Town::found();
    town.join("alpha");
    town.join("beta");
    town.give_list("alpha");
    let alpha = town.path("alpha");
    creditmesh(&["node", "standing", "--dir", &alpha]).says(4, &["no node runs"]);
    let _alpha = Served::start(&alpha);
    let standing = |more: &[&str]| {
        let fixed = ["node", "standing"];
        creditmesh(&[&fixed[..], more, &["--dir", &alpha, "--json"]].concat())
    };
    let listed = standing(&[]).json(0);
    let beta = &listed["peers"][0];
    assert_eq!(beta["member"], "beta", "{listed:#}");
    assert_eq!(beta["trust"], 0.8);
    assert!(beta["quarantined_since"].is_null() && beta["troubled_since"].is_null());

    standing(&["lift", "beta", "--by", "kim"]).says(1, &["in no quarantine"]);
    standing(&["troubled", "omega", "--by", "kim"]).says(1, &["no such peer"]);
    standing(&["troubled", "beta", "--by", ""]).says(2, &["by", "who decides"]);
    let troubled = standing(&["troubled", "beta", "--by", "kim"]).json(0);
    assert!(troubled["troubled_since"].is_string(), "{troubled:#}");
    assert_eq!(standing(&[]).json(0)["peers"][0]["decided_by"], "kim");
    let cleared = standing(&["clear", "beta", "--by", "lee"]).json(0);
    assert!(cleared["troubled_since"].is_null(), "{cleared:#}");
    let text = creditmesh(&["node", "standing", "--dir", &alpha]).stdout;
    assert!(text.contains("beta: trust 0.80"), "{text}");
    assert!(text.contains("last decided by lee"), "{text}");
}
