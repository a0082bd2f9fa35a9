//! Every way to alter a log is found, and called by its name.

use super::*;
use crate::crypto::{IdentityKey, Secret};
use crate::merkle::{PathBuilder, Tree};

const ORIGIN: &str = "lender-a/audit";

fn key(byte: u8) -> IdentityKey {
    IdentityKey::from_seed(&Secret::from_bytes([byte; 32]))
}

fn lines(count: u64) -> Vec<String> {
    let line = |n| format!("1 {} answered lender-b full 7 underwriting {n}", 1_000 + n);
    (0..count).map(line).collect()
}

fn note(lines: &[String], size: usize, origin: &str, key: &IdentityKey) -> String {
    let mut log = Frontier::new();
    for line in &lines[..size] {
        log.append(leaf_hash(line.as_bytes())).unwrap();
    }
    let at = Timestamp::from_unix_ms(1_790_000_000_000 + i64::try_from(size).unwrap());
    let signed = Checkpoint::new(origin, log.size(), log.root(), at).unwrap();
    signed.sign(key).unwrap().to_string()
}

/// Notes at sizes 4, 8 and 20.
fn notes(lines: &[String]) -> String {
    let note = |size| note(lines, size, ORIGIN, &key(1));
    [note(4), note(8), note(20)].concat()
}

fn copied(lines: &[String]) -> Vec<String> {
    let copy = |(index, line): (usize, &String)| CopiedEntry::of(index as u64, line).to_string();
    lines.iter().enumerate().map(copy).collect()
}

fn judged(copy: &[String], notes: &str) -> AuditVerdict {
    let mut judge = AuditJudge::new(ORIGIN, vec![key(9).public(), key(1).public()], None);
    for note in split_notes(notes) {
        judge.checkpoint(note);
    }
    for line in copy {
        let entry = CopiedEntry::parse(line).unwrap();
        judge.entry(entry.index, entry.line.as_bytes(), Some(entry.hash));
    }
    judge.finish()
}

#[test]
fn a_sound_log_has_no_fault() {
    let lines = lines(20);
    let verdict = judged(&copied(&lines), &notes(&lines));
    let expected = AuditVerdict {
        entries: 20,
        checkpoints: 3,
        signed: 20,
        witnessed: Vec::new(),
        unchecked: 0,
        faults: Vec::new(),
    };
    assert_eq!(verdict, expected);
}

#[test]
fn forged_dropped_and_reordered_leaves_are_named() {
    let lines = lines(20);
    let sound = copied(&lines);
    let mut forged = sound.clone();
    forged[5] = forged[5].replace("underwriting", "collection");
    assert_eq!(
        judged(&forged, &notes(&lines)).faults,
        [AuditFault::ForgedLeaf { index: 5 }]
    );
    let mut dropped = sound.clone();
    dropped.drain(6..9);
    assert_eq!(
        judged(&dropped, &notes(&lines)).faults,
        [AuditFault::DroppedLeaves { from: 6, to: 8 }]
    );
    let mut reordered = sound;
    reordered.swap(10, 11);
    assert_eq!(
        judged(&reordered, &notes(&lines)).faults,
        [AuditFault::ReorderedLeaves { index: 10 }]
    );
}

#[test]
fn history_that_was_rewritten_with_fitting_hashes_is_named_with_its_span() {
    let lines = lines(20);
    let mut other = lines.clone();
    other[6].push('0');
    let rewritten = AuditFault::RewrittenHistory {
        from: 4,
        to: 7,
        size: 8,
    };
    let found = judged(&copied(&other), &notes(&lines)).faults;
    assert_eq!(found, std::slice::from_ref(&rewritten));
    // Leaves that changed places and got each other's numbers are the same to the signed roots.
    let mut swapped = lines.clone();
    swapped.swap(5, 6);
    assert_eq!(
        judged(&copied(&swapped), &notes(&lines)).faults,
        [rewritten]
    );
    // Who signs the rewritten history again is found by a checkpoint that somebody kept.
    let kept = note(&lines, 8, ORIGIN, &key(1));
    let again = judged(&copied(&other), &(notes(&other) + &kept)).faults;
    assert!(
        again.contains(&AuditFault::ForkedLog { size: 8 }),
        "{again:?}"
    );
}

#[test]
fn forked_and_truncated_logs_are_named() {
    let lines = lines(20);
    let mut other = lines.clone();
    other[19].push('0');
    let fork = notes(&lines) + &note(&other, 20, ORIGIN, &key(1));
    let found = judged(&copied(&lines), &fork).faults;
    assert!(
        found.contains(&AuditFault::ForkedLog { size: 20 }),
        "{found:?}"
    );
    let truncated = judged(&copied(&lines[..17]), &notes(&lines)).faults;
    let (held, signed) = (17, 20);
    assert_eq!(truncated, [AuditFault::TruncatedLog { held, signed }]);
    let grown = judged(&copied(&lines), &note(&lines, 8, ORIGIN, &key(1))).faults;
    assert_eq!(grown, [AuditFault::UnsignedEntries { from: 8 }]);
}

#[test]
fn wrong_signatures_are_named() {
    let lines = lines(20);
    let last = note(&lines, 20, ORIGIN, &key(1));
    let stranger = note(&lines, 8, ORIGIN, &key(2));
    let feed = note(&lines, 8, "lender-a/full/7", &key(1));
    let altered = last.replace("\n20\n", "\n19\n");
    for (wrong, why) in [
        (stranger, LogFault::KeyUnknown),
        (feed, LogFault::OriginOther),
        (altered, LogFault::SignatureInvalid),
    ] {
        let found = judged(&copied(&lines), &(wrong + &last)).faults;
        assert_eq!(found, [AuditFault::WrongSignature { number: 1, why }]);
    }
}

#[test]
fn checkpoints_before_the_time_asked_for_are_left_out() {
    let lines = lines(20);
    let since = Timestamp::from_unix_ms(1_790_000_000_010);
    let mut judge = AuditJudge::new(ORIGIN, vec![key(1).public()], Some(since));
    for note in split_notes(&notes(&lines)) {
        judge.checkpoint(note);
    }
    for (index, line) in lines.iter().enumerate() {
        judge.entry(index as u64, line.as_bytes(), None);
    }
    let verdict = judge.finish();
    assert_eq!((verdict.checkpoints, verdict.faults.len()), (1, 0));
}

#[test]
fn evidence_holds_for_its_entry_and_place_only() {
    let lines = lines(20);
    let mut tree = Tree::with_groups_of(0);
    let mut builder = PathBuilder::new(6);
    for line in &lines {
        tree.append_root(leaf_hash(line.as_bytes()));
        builder.append(leaf_hash(line.as_bytes()));
    }
    let (path, root) = builder.finish().unwrap();
    assert_eq!(Ok(root), tree.root_at(20));
    let proof = AuditProof {
        index: 6,
        entry: lines[6].clone(),
        path,
        checkpoint: note(&lines, 20, ORIGIN, &key(1)),
    };
    let text = proof.to_string();
    assert_eq!(AuditProof::parse(&text), Ok(proof.clone()));
    let keys = [key(1).public()];
    assert_eq!(proof.verify(&keys).unwrap().size(), 20);
    assert!(proof.verify(&[key(2).public()]).is_err());
    for index in (0..21).filter(|index| *index != 6) {
        let elsewhere = AuditProof {
            index,
            ..proof.clone()
        };
        assert!(elsewhere.verify(&keys).is_err(), "{index}");
    }
    let mut other = proof.clone();
    other.entry.push('1');
    assert!(other.verify(&keys).is_err());
    let mut longer = proof.clone();
    longer.path.push([0; 32]);
    assert!(longer.verify(&keys).is_err());
    for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
        let holds = AuditProof::parse(&text[..end]).and_then(|cut| cut.verify(&keys));
        assert!(holds.is_err(), "cut to {end}");
    }
}

#[test]
fn cosigners_are_named_and_a_line_that_does_not_hold_is_a_fault() {
    let lines = lines(20);
    let beta: MemberId = "beta".parse().unwrap();
    let cosigned = |size, seconds: i64| {
        let note = SignedNote::parse(&note(&lines, size, ORIGIN, &key(1))).unwrap();
        let at = Timestamp::from_unix_ms(seconds * 1_000);
        note.cosign("beta/witness", &key(2), at)
            .unwrap()
            .to_string()
    };
    let judged = |notes: &str, witness: u8| {
        let witnesses = vec![WitnessKey {
            member: beta.clone(),
            key: key(witness).public(),
        }];
        let judge = AuditJudge::new(ORIGIN, vec![key(1).public()], None);
        let mut judge = judge.with_witnesses(witnesses);
        split_notes(notes).for_each(|note| judge.checkpoint(note));
        for (index, line) in lines.iter().enumerate() {
            judge.entry(index as u64, line.as_bytes(), None);
        }
        judge.finish()
    };
    let notes = cosigned(8, 1_800_000_000) + &cosigned(20, 1_800_000_009);
    let verdict = judged(&notes, 2);
    let expected = CosignedUpTo {
        witness: beta.clone(),
        size: 20,
        at: Timestamp::from_unix_ms(1_800_000_009_000),
    };
    assert_eq!((verdict.witnessed, verdict.unchecked), (vec![expected], 0));
    assert_eq!(verdict.faults, []);
    let other = judged(&notes, 3);
    assert_eq!((other.witnessed, other.unchecked), (Vec::new(), 2));
    // The line of one checkpoint put under another one.
    let line = cosigned(8, 1_800_000_000);
    let line = line.lines().last().unwrap();
    let moved = format!("{}{line}\n", note(&lines, 20, ORIGIN, &key(1)));
    let witness = beta.clone();
    let expected = AuditFault::WrongCosignature { number: 1, witness };
    assert_eq!(judged(&moved, 2).faults, [expected]);
}
