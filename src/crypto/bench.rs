//! What the OPRF costs on this machine, beside the ceiling of its library calls in the same run.

use std::hint::black_box;
use std::time::Duration;

use curve25519_dalek::scalar::Scalar;
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

use super::ceiling::Material;
use super::oprf::{BatchSeed, Evaluated, Input, OprfError, PendingBatch, SecretKey};
use super::secret::Secret;
use crate::env::Entropy;
use crate::limits::EVALUATE_ELEMENTS_MAX;

/// Elements in the batches that are measured.
const BATCHES: [usize; 3] = [1, 64, EVALUATE_ELEMENTS_MAX];

/// Elements that a round works on at least, so that the clock's own cost does not show.
const ROUND_ELEMENTS_MIN: usize = 64;

/// Rounds of each side at least.
const ROUNDS_MIN: usize = 3;

/// One figure: a step at one batch size.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BenchRow {
    /// `"blind"` and `"verify and finalize"` are the asker's, `"evaluate with proof"` the
    /// answerer's.
    pub name: &'static str,
    /// Elements in the batch.
    pub batch: usize,
    /// User and system time of the step, microseconds for each element, median over the rounds.
    pub cpu_us_per_element: f64,
    /// The same of the library calls alone.
    pub ceiling_cpu_us_per_element: f64,
    /// The first over the second.
    pub ratio: f64,
    /// Bytes that the step gives to the wire, for each element: elements and proof, without
    /// framing.
    pub bytes_per_element: f64,
}

/// Measures each step at batches of 1, 64 and [`EVALUATE_ELEMENTS_MAX`], each row for about
/// `cpu_per_row` of each side. Ours and the ceiling take turns, round by round.
///
/// # Errors
/// [`OprfError`] where a step fails, which it does only without entropy.
pub fn oprf(cpu_per_row: Duration, entropy: &dyn Entropy) -> Result<Vec<BenchRow>, OprfError> {
    let mut rows = Vec::with_capacity(3 * BATCHES.len());
    let stages = [
        Batch::bench_blind,
        Batch::bench_evaluate,
        Batch::bench_finish,
    ];
    for stage in stages {
        for elements in BATCHES {
            rows.push(stage(
                &Batch::new(elements, entropy)?,
                cpu_per_row,
                entropy,
            )?);
        }
    }
    Ok(rows)
}

/// A batch to be measured, and the same batch as material for the ceiling.
struct Batch {
    key: SecretKey,
    inputs: Vec<Vec<u8>>,
    seed: BatchSeed,
    elements: Vec<u8>,
    answer: Evaluated,
    material: Material,
    scalar: Scalar,
    repeats: usize,
}

impl Batch {
    fn new(elements: usize, entropy: &dyn Entropy) -> Result<Self, OprfError> {
        let inputs: Vec<Vec<u8>> = (0..elements)
            .map(|number| format!("v1|CN-RID|CN|{number:018}").into_bytes())
            .collect();
        let key = SecretKey::derive(&Secret::random(entropy)?, b"bench");
        let seed = BatchSeed::random(entropy)?;
        let pending = PendingBatch::blind(&present(&inputs), &seed)?;
        let answer = key.evaluate(pending.elements(), entropy)?;
        let scalars = (0..elements)
            .map(|_| scalar(entropy))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            material: Material::new(inputs.clone(), pending.elements(), scalars),
            elements: pending.elements().to_vec(),
            scalar: scalar(entropy)?,
            repeats: ROUND_ELEMENTS_MIN.div_ceil(elements),
            key,
            inputs,
            seed,
            answer,
        })
    }

    fn bench_blind(&self, cpu: Duration, _entropy: &dyn Entropy) -> Result<BenchRow, OprfError> {
        let inputs = present(&self.inputs);
        let ours = || self.repeated(|| PendingBatch::blind(&inputs, &self.seed));
        let ceiling = || {
            self.repeated(|| {
                self.material.blind();
                Ok(())
            })
        };
        Ok(self.row("blind", 32.0, compare(cpu, ours, ceiling)?))
    }

    fn bench_evaluate(&self, cpu: Duration, entropy: &dyn Entropy) -> Result<BenchRow, OprfError> {
        let ours = || self.repeated(|| self.key.evaluate(&self.elements, entropy));
        let ceiling = || {
            self.repeated(|| {
                self.material.evaluate(&self.scalar);
                Ok(())
            })
        };
        let proof_bytes = 64.0 / count(self.inputs.len());
        let rounds = compare(cpu, ours, ceiling)?;
        Ok(self.row("evaluate with proof", 32.0 + proof_bytes, rounds))
    }

    fn bench_finish(&self, cpu: Duration, _entropy: &dyn Entropy) -> Result<BenchRow, OprfError> {
        let inputs = present(&self.inputs);
        let public = self.key.public();
        let Evaluated { elements, proof } = &self.answer;
        let ours = || {
            let mut pending = Vec::with_capacity(self.repeats);
            for _ in 0..self.repeats {
                pending.push(PendingBatch::blind(&inputs, &self.seed)?);
            }
            let start = thread_cpu();
            for batch in pending {
                black_box(batch.finish(&public, elements, proof)?);
            }
            Ok(thread_cpu().saturating_sub(start))
        };
        let ceiling = || {
            self.repeated(|| {
                self.material.verify_and_finalize(&self.scalar);
                Ok(())
            })
        };
        Ok(self.row("verify and finalize", 0.0, compare(cpu, ours, ceiling)?))
    }

    /// CPU time of one round.
    fn repeated<T>(
        &self,
        mut step: impl FnMut() -> Result<T, OprfError>,
    ) -> Result<Duration, OprfError> {
        let start = thread_cpu();
        for _ in 0..self.repeats {
            black_box(step()?);
        }
        Ok(thread_cpu().saturating_sub(start))
    }

    fn row(
        &self,
        name: &'static str,
        bytes_per_element: f64,
        (ours, ceiling): (Duration, Duration),
    ) -> BenchRow {
        let elements = count(self.inputs.len() * self.repeats);
        let per_element = |round: Duration| round.as_secs_f64() * 1e6 / elements;
        BenchRow {
            name,
            batch: self.inputs.len(),
            cpu_us_per_element: per_element(ours),
            ceiling_cpu_us_per_element: per_element(ceiling),
            ratio: ours.as_secs_f64() / ceiling.as_secs_f64(),
            bytes_per_element,
        }
    }
}

/// Lets both sides take turns and returns the median round of each.
pub(crate) fn compare(
    cpu: Duration,
    mut ours: impl FnMut() -> Result<Duration, OprfError>,
    mut ceiling: impl FnMut() -> Result<Duration, OprfError>,
) -> Result<(Duration, Duration), OprfError> {
    let mut rounds = (Vec::new(), Vec::new());
    let mut spent = Duration::ZERO;
    while spent < cpu || rounds.0.len() < ROUNDS_MIN {
        let round = ours()?;
        spent += round;
        rounds.0.push(round);
        rounds.1.push(ceiling()?);
    }
    Ok((median(rounds.0), median(rounds.1)))
}

fn median(mut rounds: Vec<Duration>) -> Duration {
    rounds.sort_unstable();
    rounds.get(rounds.len() / 2).copied().unwrap_or_default()
}

/// User and system time of this thread so far.
pub(crate) fn thread_cpu() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

fn present(inputs: &[Vec<u8>]) -> Vec<Input<'_>> {
    inputs.iter().map(|input| Input::Present(input)).collect()
}

fn scalar(entropy: &dyn Entropy) -> Result<Scalar, OprfError> {
    Ok(Scalar::from_bytes_mod_order_wide(
        Secret::random(entropy)?.expose(),
    ))
}

/// A small count as a number to divide by.
fn count(elements: usize) -> f64 {
    u32::try_from(elements).map_or(f64::INFINITY, f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::SeededEntropy;

    #[test]
    fn every_step_is_measured_at_every_batch_beside_its_ceiling() {
        let rows = oprf(Duration::ZERO, &SeededEntropy::from_seed(1)).unwrap();
        let shape: Vec<(&str, usize)> = rows.iter().map(|row| (row.name, row.batch)).collect();
        assert_eq!(
            shape[..4],
            [
                ("blind", 1),
                ("blind", 64),
                ("blind", 1_024),
                ("evaluate with proof", 1),
            ]
        );
        assert_eq!(shape.len(), 9);
        for row in rows {
            assert!(row.cpu_us_per_element > 0.0 && row.ceiling_cpu_us_per_element > 0.0);
            assert!(row.ratio.is_finite(), "{row:?}");
        }
    }
}
