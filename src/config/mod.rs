//! Configuration: text to raw to checked. No file is read here, and nothing is taken from the
//! environment.

mod alerts;
mod light;
mod node;
mod registrar;
mod retention;
mod store;

pub use alerts::{AlertsConfig, WebhookConfig};
pub use light::LightConfig;
pub use node::{ConfigError, NodeConfig, UnlockSource};
pub use registrar::{RegistrarConfig, RegistrarConfigError};
pub use retention::{RetentionFileError, built_in_retention, parse_retention};
pub use store::{DatabaseConfig, StoreConfig};
