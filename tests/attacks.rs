//! Attacks on a network of 20 lenders, at the pure core: books drawn as in the demo, summaries as
//! published, conclusions as given. Every scenario prints its figures; `docs/attacks.md` keeps
//! those of a full run.
//!
//! `CREDITMESH_TEST_SIZE=full` takes 20,000 borrowers, anything else 1,500;
//! `CREDITMESH_TEST_SEED=n` takes another seed than 1.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests may panic"
)]

#[path = "attacks/burst.rs"]
mod burst;
#[path = "simulation/dice.rs"]
mod dice;
#[path = "attacks/lies.rs"]
mod lies;
#[path = "attacks/world.rs"]
mod world;

fn setting(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "the size of a long test")]
    std::env::var(name).ok()
}

fn is_full() -> bool {
    setting("CREDITMESH_TEST_SIZE").as_deref() == Some("full")
}

fn borrowers() -> usize {
    if is_full() { 20_000 } else { 1_500 }
}

fn seed() -> u64 {
    setting("CREDITMESH_TEST_SEED").map_or(1, |seed| seed.parse().unwrap())
}

/// A share in percent.
fn percent(part: usize, whole: usize) -> f64 {
    let count = |number: usize| f64::from(u32::try_from(number).unwrap());
    100.0 * count(part) / count(whole.max(1))
}
