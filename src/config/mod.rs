//! Configuration: text to raw to checked. No file is read here, and nothing is taken from the
//! environment.

mod alerts;
mod node;
mod registrar;

pub use alerts::{AlertsConfig, WebhookConfig};
pub use node::{ConfigError, NodeConfig, UnlockSource};
pub use registrar::{RegistrarConfig, RegistrarConfigError};
