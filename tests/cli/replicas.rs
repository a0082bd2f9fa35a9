//! A bureau of three replicas over one database, each killed in turn, stopped in turn, and hung in
//! turn, while lenders ask it and while it asks: no call fails.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::scope;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use super::database::{ask_softly, copy_listening_at, database, import_a_loan, verified};
use super::shell::{Run, Served, Town, creditmesh, free_address};

const REPLICAS: usize = 3;

/// How long the load goes on between two blows.
const BETWEEN: Duration = Duration::from_millis(1_500);

/// The folders of the replicas; the first one's is the one that joined.
fn replicas(town: &Town) -> Vec<String> {
    let addresses: Vec<String> = (0..REPLICAS).map(|_| free_address()).collect();
    let rows = database();
    let mut join = vec!["--database", &rows, "--listen", &addresses[0]];
    for address in &addresses {
        join.extend(["--endpoint", address]);
    }
    town.join_with("bureau", &join);
    import_a_loan(town, "bureau");
    let copy = |number: usize| {
        let places = (addresses[0].as_str(), addresses[number].as_str());
        copy_listening_at(town, &format!("bureau-{number}"), places)
    };
    let copies: Vec<String> = (1..REPLICAS).map(copy).collect();
    std::iter::once(town.path("bureau")).chain(copies).collect()
}

/// Whether a call came to its end and both other members answered it.
fn is_whole(run: &Run) -> bool {
    let told: Value = serde_json::from_str(&run.stdout).unwrap_or_default();
    run.code == 0 && told["coverage"]["answered"] == 2
}

/// What a caller saw.
#[derive(Debug, Default)]
struct Calls {
    whole: usize,
    again: usize,
    failed: Vec<String>,
    longest: Duration,
}

/// Asks again and again: at one node, or at whichever replica comes next; what fails there is asked
/// once more at the one behind it, with the same key.
fn ask_on(dirs: &[String], name: &str, stop: &AtomicBool) -> Calls {
    let mut calls = Calls::default();
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let key = format!("{name}-{number}");
        let began = Instant::now();
        let mut run = ask_softly(&dirs[number % dirs.len()], &key);
        if !is_whole(&run) && dirs.len() > 1 {
            calls.again += 1;
            run = ask_softly(&dirs[(number + 1) % dirs.len()], &key);
        }
        calls.longest = calls.longest.max(began.elapsed());
        if is_whole(&run) {
            calls.whole += 1;
        } else {
            calls.failed.push(format!("{} {}", run.stdout, run.stderr));
        }
    }
    calls
}

fn pause() {
    std::thread::sleep(BETWEEN);
}

/// What happens to the replicas, and what callers at the lenders and at the bureau saw of it.
fn under_load(
    lenders: &[String],
    bureau: &[String],
    served: &mut [Option<Served>],
) -> [(&'static str, Calls); 3] {
    let (stop, own_stop) = (AtomicBool::new(false), AtomicBool::new(false));
    scope(|threads| {
        let (stop, own_stop) = (&stop, &own_stop);
        let alpha = threads.spawn(|| ask_on(&lenders[..1], "alpha", stop));
        let beta = threads.spawn(|| ask_on(&lenders[1..], "beta", stop));
        let own = threads.spawn(move || ask_on(bureau, "bureau", own_stop));
        for (replica, dir) in served.iter_mut().zip(bureau) {
            pause();
            // Killed, and started again.
            drop(replica.take());
            pause();
            *replica = Some(Served::start(dir));
        }
        for (replica, dir) in served.iter_mut().zip(bureau) {
            pause();
            replica.take().unwrap().stop();
            *replica = Some(Served::start(dir));
        }
        pause();
        let rekeyed = creditmesh(&["node", "rekey", "--dir", &bureau[1], "--json"]).json(0);
        assert!(rekeyed["resealed"].as_u64() > Some(0));
        pause();
        own_stop.store(true, Ordering::Relaxed);
        let own = own.join().unwrap();
        for replica in served.iter().flatten() {
            // It hangs, with all its connections open, and goes on later.
            replica.signal(Signal::STOP);
            pause();
            replica.signal(Signal::CONT);
            pause();
        }
        stop.store(true, Ordering::Relaxed);
        let [alpha, beta] = [alpha, beta].map(|calls| calls.join().unwrap());
        [("alpha", alpha), ("beta", beta), ("bureau", own)]
    })
}

#[test]
fn replicas_are_killed_stopped_and_hung_in_turn_and_rekeyed_and_no_call_fails() {
    let town = Town::found();
    town.join("alpha");
    town.join("beta");
    let bureau = replicas(&town);
    for member in ["alpha", "beta"] {
        town.give_list(member);
    }
    let lenders: Vec<_> = ["alpha", "beta"].map(|name| town.path(name)).into();
    let _lending: Vec<Served> = lenders.iter().map(|dir| Served::start(dir)).collect();
    let mut served: Vec<Option<Served>> = Vec::new();
    for dir in &bureau {
        served.push(Some(Served::start(dir)));
    }
    for name in ["alpha", "beta", "bureau", "bureau-1", "bureau-2"] {
        town.wait_for_mirrors(name, 2);
    }
    let calls = under_load(&lenders, &bureau, &mut served);
    for (name, calls) in &calls {
        let (whole, again) = (calls.whole, calls.again);
        let longest = calls.longest.as_secs_f32();
        println!("{name}: {whole} calls, {again} of them made again, longest {longest:.1} s");
        assert_eq!(calls.failed, Vec::<String>::new(), "{name}");
        assert!(whole > 20, "{name}");
    }

    // Whoever answers, the answer is one; and one of them leads.
    let told = |dir: &String| {
        let told = ask_softly(dir, &format!("last at {dir}")).json(0);
        json!([told["counts"], told["flags"], told["outcome"]])
    };
    let answers: Vec<Value> = bureau.iter().map(told).collect();
    assert!(
        answers.windows(2).all(|pair| pair[0] == pair[1]),
        "{answers:#?}"
    );
    let leading = bureau.iter().filter(|dir| {
        let status = creditmesh(&["node", "status", "--dir", dir, "--json"]).json(0);
        status["replica"] == "leads"
    });
    assert_eq!(leading.count(), 1);
    for dir in lenders.iter().chain(&bureau) {
        let forks = creditmesh(&["audit", "forks", "--dir", dir, "--json"]);
        assert!(!forks.stdout.contains("\"origin\""), "{forks:?}");
    }
    drop(served);
    verified(&bureau[2]);
}
