//! What one of a node's replicas does for all of them: following peers, looking for watched
//! borrowers, deleting what is old, delivering alerts.

use std::fmt;
use std::pin::Pin;

use tokio::task::JoinSet;

use crate::store::Replicas;

/// A task that runs while this process leads; begun anew each time that it does.
pub(super) struct Job(Box<dyn Fn() -> Running + Send + Sync>);

type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Job {
    /// A job that begins like this.
    pub(super) fn of<F>(begin: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self(Box::new(move || Box::pin(begin())))
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Job")
    }
}

/// Begins the jobs where this process is alone; beside others whenever it comes to lead, and ends
/// them when it does not any more.
pub(super) fn begin(jobs: Vec<Job>, replicas: Replicas, tasks: &mut JoinSet<()>) {
    if replicas.is_alone() {
        for job in jobs {
            tasks.spawn((job.0)());
        }
        return;
    }
    tasks.spawn(async move {
        loop {
            replicas.until(true).await;
            let mut running = JoinSet::new();
            for job in &jobs {
                running.spawn((job.0)());
            }
            replicas.until(false).await;
            running.shutdown().await;
        }
    });
}
