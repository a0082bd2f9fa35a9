//! A node that is backed up, re-keyed and moved to another machine's folder while others ask it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::scope;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::database::{ask_softly, import_a_loan};
use super::shell::{Served, Town, creditmesh};

/// Asks at a node until told to stop; gives how many answers covered the other member, and what
/// the others said.
fn ask_on(dir: &str, stop: &AtomicBool) -> (usize, Vec<String>) {
    let (mut whole, mut failed) = (0, Vec::new());
    while !stop.load(Ordering::Relaxed) {
        let run = ask_softly(dir, &format!("{dir}-{whole}"));
        let told: Value = serde_json::from_str(&run.stdout).unwrap_or_default();
        if run.code == 0 && told["coverage"]["answered"] == 1 {
            whole += 1;
        } else {
            failed.push(format!("{run:?}"));
        }
    }
    (whole, failed)
}

fn backup(dir: &str, file: &str) -> Value {
    creditmesh(&["node", "backup", "--dir", dir, file, "--json"]).json(0)
}

fn restored(dir: &str, file: &str, key: &str, more: &[&str]) {
    let fixed = ["node", "restore", "--dir", dir, file, "--key-file", key];
    let run = creditmesh(&[&fixed[..], more].concat());
    assert_eq!(run.code, 0, "{run:?}");
    let verified = creditmesh(&["node", "verify", "--dir", dir, "--json"]).json(0);
    assert_eq!(verified["clean"], true);
}

#[test]
fn a_node_is_backed_up_and_rekeyed_under_load_and_then_moves_to_another_folder() {
    let town = Town::found();
    town.join("alpha");
    town.join("beta");
    town.give_list("alpha");
    import_a_loan(&town, "beta");
    let (alpha, beta) = (town.path("alpha"), town.path("beta"));
    let _alpha = Served::start(&alpha);
    let served = Served::start(&beta);
    for name in ["alpha", "beta"] {
        town.wait_for_mirrors(name, 1);
    }
    let key = format!("{beta}/unlock.key");
    let stop = AtomicBool::new(false);
    let mut backups = Vec::new();
    scope(|threads| {
        let asking = [&alpha, &beta].map(|dir| threads.spawn(|| ask_on(dir, &stop)));
        for number in 0..6 {
            let file = town.path(&format!("beta-{number}.backup"));
            let told = backup(&beta, &file);
            assert_eq!(told["running"], true);
            backups.push((file, told["rows"].as_u64().unwrap()));
            if number % 2 == 0 {
                let rekeyed = creditmesh(&["node", "rekey", "--dir", &beta, "--json"]).json(0);
                assert!(rekeyed["resealed"].as_u64() > Some(0));
            }
        }
        stop.store(true, Ordering::Relaxed);
        for (asking, name) in asking.into_iter().zip(["alpha", "beta"]) {
            let (whole, failed) = asking.join().unwrap();
            println!("{name}: {whole} calls during six backups and three re-keyings");
            assert_eq!(failed, Vec::<String>::new());
            assert!(whole > 10, "{whole}");
        }
    });
    // Each backup is whole, as of its moment, and knows what was there then.
    assert!(
        backups.windows(2).all(|pair| pair[0].1 < pair[1].1),
        "{backups:?}"
    );
    for (number, (file, rows)) in backups.iter().enumerate().step_by(2) {
        let verify = ["node", "verify", "--backup", file, "--dir", &beta, "--json"];
        assert_eq!(creditmesh(&verify).json(0)["rows"], *rows);
        restored(&town.path(&format!("beta-{number}")), file, &key, &[]);
    }

    // Stopped, carried over, and started in the other folder: nothing is missing, nothing waits
    // for the next epoch.
    let began = Instant::now();
    served.stop();
    let (file, elsewhere) = (town.path("last.backup"), town.path("beta-elsewhere"));
    assert_eq!(backup(&beta, &file)["running"], false);
    restored(&elsewhere, &file, &key, &["--latest"]);
    std::fs::copy(&key, format!("{elsewhere}/unlock.key")).unwrap();
    let _served = Served::start(&elsewhere);
    let answer = loop {
        let run = ask_softly(&alpha, &format!("moved-{:?}", began.elapsed()));
        let told: Value = serde_json::from_str(&run.stdout).unwrap_or_default();
        if told["coverage"]["answered"] == 1 {
            break told;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{run:?}");
    };
    println!(
        "moved: {:.1} s without an answer",
        began.elapsed().as_secs_f32()
    );
    let one = json!({"lo": 1, "hi": 1});
    assert_eq!(answer["counts"]["active_lender_groups"], one, "{answer}");
}

#[test]
fn a_backup_that_cannot_be_written_leaves_nothing_and_the_node_serves_on() {
    let town = Town::found();
    town.join("alpha");
    let alpha = town.path("alpha");
    let _served = Served::start(&alpha);
    let file = town.path("alpha.backup");
    backup(&alpha, &file);
    let again = creditmesh(&["node", "backup", "--dir", &alpha, &file]);
    again.says(4, &["exists already", "name another file"]);
    let nowhere = town.path("no-such-folder/alpha.backup");
    creditmesh(&["node", "backup", "--dir", &alpha, &nowhere]).says(4, &["cannot create"]);
    backup(&alpha, &town.path("second.backup"));
}
