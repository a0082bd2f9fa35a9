//! Prints how many entries of a membership log a reader checks in a second, beside the raw cost of
//! the Ed25519 signature and the SHA-256 hashes in them: `cargo bench --bench log`.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use creditmesh::crypto::{IdentityKey, Secret, sha256, verify};
use creditmesh::domain::{MemberId, NetworkId, Timestamp};
use creditmesh::membership::{CertificateStatement, History, LogEntry, LogEvent, MemberState, Pin};

const ENTRIES: u32 = 2_000;
const RUNS: usize = 9;

/// The least time of each step, taken in turn, so that other work on the machine counts little.
fn least(steps: &mut [&mut dyn FnMut() -> Result<(), Failure>]) -> Result<Vec<f64>, Failure> {
    let mut least = vec![Duration::MAX; steps.len()];
    for _ in 0..RUNS {
        for (step, least) in steps.iter_mut().zip(&mut least) {
            let begun = Instant::now();
            step()?;
            *least = begun.elapsed().min(*least);
        }
    }
    let micros = |time: &Duration| time.as_secs_f64() * 1e6 / f64::from(ENTRIES);
    Ok(least.iter().map(micros).collect())
}

type Failure = Box<dyn std::error::Error>;

/// A log of one member with many certificates.
fn leaves(identity: &IdentityKey, network: &NetworkId) -> Result<Vec<Vec<u8>>, Failure> {
    let member: MemberId = "alpha".parse()?;
    let at = Timestamp::from_unix_ms(1_790_000_000_000);
    let pins = vec![Pin {
        member: member.clone(),
        state: MemberState::Active,
        identity_key: identity.public(),
    }];
    let list = LogEvent::List {
        version: 1,
        digest: [1; 32],
        previous: None,
        root_version: 1,
        pins,
    };
    let mut leaves = vec![LogEntry { at, event: list }.encode()?];
    for number in 0..ENTRIES {
        let key = sha256(&number.to_be_bytes());
        let event = LogEvent::Certificate {
            member: member.clone(),
            spki_sha256: key,
            statement: CertificateStatement::make(identity, network, &member, &key, at),
        };
        leaves.push(LogEntry { at, event }.encode()?);
    }
    Ok(leaves)
}

fn main() -> Result<(), Failure> {
    let network: NetworkId = "credit-net".parse()?;
    let identity = IdentityKey::from_seed(&Secret::from_bytes([7; 32]));
    let leaves = leaves(&identity, &network)?;
    let mut checked = || {
        let mut history = History::new(network.clone());
        for leaf in &leaves {
            history.take(leaf)??;
        }
        black_box(history.tree_root());
        Ok(())
    };
    let mut again = || {
        let mut history = History::new(network.clone());
        for leaf in &leaves {
            history.take_again(leaf)??;
        }
        black_box(history.tree_root());
        Ok(())
    };
    // One signature over as many bytes as a certificate statement signs, and two hashes: a leaf's
    // and, on average, one inner node's.
    let message = vec![5; 100];
    let signature = identity.sign(&message);
    let mut raw_signatures = || {
        for _ in 0..ENTRIES {
            verify(&identity.public(), black_box(&message), &signature)?;
        }
        Ok(())
    };
    let mut raw_hashes = || {
        for leaf in &leaves {
            black_box(sha256(black_box(leaf)));
            black_box(sha256(black_box(&[3; 65])));
        }
        Ok(())
    };
    let least = least(&mut [
        &mut checked,
        &mut again,
        &mut raw_signatures,
        &mut raw_hashes,
    ])?;
    let &[checked, again, signature, hashes] = least.as_slice() else {
        return Err("four steps give four times".into());
    };
    println!("{ENTRIES} certificate entries, least of {RUNS} runs, microseconds for each entry");
    println!(
        "checked in full        {checked:8.2}  {:9.0} entries/s",
        1e6 / checked
    );
    println!(
        "  raw Ed25519 + SHA-256 {:7.2}  ratio {:.3}",
        signature + hashes,
        checked / (signature + hashes)
    );
    println!(
        "read again, no Ed25519 {again:8.2}  {:9.0} entries/s",
        1e6 / again
    );
    println!(
        "  raw SHA-256           {hashes:7.2}  ratio {:.3}",
        again / hashes
    );
    Ok(())
}
