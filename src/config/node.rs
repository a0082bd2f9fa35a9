//! `node.toml`: how one node runs.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::alerts::{AlertsConfig, RawAlerts};
use super::light::{LightConfig, RawLight};
use super::registrar::addresses_are_sound;
use super::store::{RawStore, StoreConfig};
use crate::crypto::GroupArithmetic;
use crate::domain::{MemberId, OperatorName};
use crate::limits::{
    GROUP_INTERVAL_MS_MAX, PEER_DEADLINE_MS_MAX, REKEY_DAYS_DEFAULT, REKEY_DAYS_MAX,
};

/// What is wrong with a configuration, and what to write instead.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Not TOML, an unknown key, or a value of another type.
    #[error("node.toml: {0}")]
    Toml(#[from] toml::de::Error),
    /// A value that is out of its bounds.
    #[error("node.toml: {key} {rule}")]
    Value {
        /// The key as written.
        key: &'static str,
        /// What the value must be.
        rule: String,
    },
}

/// Where the key that opens the key ring comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnlockSource {
    /// A file whose first line is the passphrase.
    PassphraseFile(PathBuf),
    /// A file of 32 random bytes, as 64 hexadecimal characters.
    KeyFile(PathBuf),
    /// A program that is run without arguments and prints such a key.
    KeyCommand(PathBuf),
}

/// A checked configuration. Relative paths are relative to the node's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeConfig {
    /// The member that this node serves.
    pub member: MemberId,
    /// Address to listen on for peers.
    pub listen: SocketAddr,
    /// Address to listen on for operators on other machines; `None` serves the folder's socket
    /// only.
    pub operator_listen: Option<SocketAddr>,
    /// Operators' names, and serial numbers of their certificates, that no longer count.
    pub operator_refused: BTreeSet<String>,
    /// `host:port` of the network's registrars, at most 4; none where the network works by files.
    pub registrar: Vec<String>,
    /// How the key ring is opened.
    pub unlock: UnlockSource,
    /// Policy file; `None` takes the built-in policy of the network's currency.
    pub policy: Option<PathBuf>,
    /// Retention policy file; `None` takes the built-in one.
    pub retention: Option<PathBuf>,
    /// Memory for the store's cache, MiB.
    pub cache_mib: u32,
    /// How often a new data key is made and the older ones are destroyed; 1 to 90 days.
    pub rekey_every: Duration,
    /// How long a publication waits for company; at most 50 ms.
    pub group_interval: Duration,
    /// How long a peer may take to answer.
    pub peer_deadline: Duration,
    /// What computes with batches of group elements.
    pub group_arithmetic: GroupArithmetic,
    /// What is told of watched borrowers, and where to.
    pub alerts: AlertsConfig,
    /// Which engine keeps the rows.
    pub store: StoreConfig,
    /// Who asks and is asked without a mirror.
    pub light: LightConfig,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawNode {
    member: String,
    listen: String,
    operator_listen: Option<String>,
    #[serde(default)]
    operator_refused: Vec<String>,
    #[serde(default)]
    registrar: Vec<String>,
    passphrase_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
    key_command: Option<PathBuf>,
    policy: Option<PathBuf>,
    retention: Option<PathBuf>,
    #[serde(default = "cache_mib_default")]
    cache_mib: u32,
    #[serde(default = "rekey_days_default")]
    rekey_days: u64,
    #[serde(default = "group_interval_ms_default")]
    group_interval_ms: u64,
    #[serde(default = "peer_deadline_ms_default")]
    peer_deadline_ms: u64,
    group_arithmetic: Option<String>,
    #[serde(default)]
    alerts: RawAlerts,
    #[serde(default)]
    store: RawStore,
    #[serde(default)]
    light: RawLight,
}

const fn cache_mib_default() -> u32 {
    256
}

const fn rekey_days_default() -> u64 {
    REKEY_DAYS_DEFAULT
}

const fn group_interval_ms_default() -> u64 {
    20
}

const fn peer_deadline_ms_default() -> u64 {
    1_500
}

pub(super) fn value(key: &'static str, rule: impl Into<String>) -> ConfigError {
    ConfigError::Value {
        key,
        rule: rule.into(),
    }
}

fn within(key: &'static str, found: u64, most: u64) -> Result<Duration, ConfigError> {
    if (1..=most).contains(&found) {
        Ok(Duration::from_millis(found))
    } else {
        Err(value(key, format!("must be 1 to {most} and is {found}")))
    }
}

fn address(key: &'static str, text: &str) -> Result<SocketAddr, ConfigError> {
    text.parse()
        .map_err(|_| value(key, "must be an address and port such as 0.0.0.0:7401"))
}

fn group_arithmetic(text: Option<&str>) -> Result<GroupArithmetic, ConfigError> {
    match text {
        None | Some("auto") => Ok(GroupArithmetic::Auto),
        Some("dalek") => Ok(GroupArithmetic::Dalek),
        Some(_) => Err(value("group_arithmetic", "must be \"auto\" or \"dalek\"")),
    }
}

/// A serial number in lower-case hexadecimal has the form of a name too.
fn refused(texts: Vec<String>) -> Result<BTreeSet<String>, ConfigError> {
    let rule = "must list operators' names, or serial numbers in lower-case hexadecimal";
    let all_sound = texts
        .iter()
        .all(|text| text.parse::<OperatorName>().is_ok());
    if all_sound {
        Ok(texts.into_iter().collect())
    } else {
        Err(value("operator_refused", rule))
    }
}

impl NodeConfig {
    /// Reads and checks the text of a `node.toml`.
    ///
    /// # Errors
    /// [`ConfigError`], which names the key and says what it must be.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let raw: RawNode = toml::from_str(text)?;
        let sources = [
            raw.passphrase_file.map(UnlockSource::PassphraseFile),
            raw.key_file.map(UnlockSource::KeyFile),
            raw.key_command.map(UnlockSource::KeyCommand),
        ];
        let mut sources = sources.into_iter().flatten();
        let (Some(unlock), None) = (sources.next(), sources.next()) else {
            let rule = "or key_file or key_command must be set, and only one of them";
            return Err(value("passphrase_file", rule));
        };
        let listen = address("listen", &raw.listen)?;
        let operator_listen = raw.operator_listen;
        let operator_listen = operator_listen
            .map(|text| address("operator_listen", &text))
            .transpose()?;
        if operator_listen == Some(listen) {
            let rule = "must be another address and port than `listen`";
            return Err(value("operator_listen", rule));
        }
        if !addresses_are_sound(&raw.registrar) {
            let rule = "must list at most 4 addresses such as \"registrar.example:7400\"";
            return Err(value("registrar", rule));
        }
        if !(16..=65_536).contains(&raw.cache_mib) {
            return Err(value("cache_mib", "must be 16 to 65536"));
        }
        if !(1..=REKEY_DAYS_MAX).contains(&raw.rekey_days) {
            let rule = format!("must be 1 to {REKEY_DAYS_MAX} and is {}", raw.rekey_days);
            return Err(value("rekey_days", rule));
        }
        Ok(Self {
            member: raw
                .member
                .parse()
                .map_err(|error| value("member", format!("{error}")))?,
            listen,
            operator_listen,
            operator_refused: refused(raw.operator_refused)?,
            registrar: raw.registrar,
            unlock,
            policy: raw.policy,
            retention: raw.retention,
            cache_mib: raw.cache_mib,
            rekey_every: Duration::from_secs(raw.rekey_days * 86_400),
            group_interval: within(
                "group_interval_ms",
                raw.group_interval_ms,
                GROUP_INTERVAL_MS_MAX,
            )?,
            peer_deadline: within(
                "peer_deadline_ms",
                raw.peer_deadline_ms,
                PEER_DEADLINE_MS_MAX,
            )?,
            group_arithmetic: group_arithmetic(raw.group_arithmetic.as_deref())?,
            alerts: raw.alerts.checked()?,
            light: raw.light.checked()?,
            store: raw.store.checked()?,
        })
    }

    /// The text of a fresh `node.toml`, with every key explained.
    #[must_use]
    pub fn sample(
        member: &MemberId,
        listen: SocketAddr,
        unlock: &UnlockSource,
        registrar: &[String],
        store: &StoreConfig,
    ) -> String {
        let unlock = match unlock {
            UnlockSource::PassphraseFile(path) => format!("passphrase_file = {path:?}"),
            UnlockSource::KeyFile(path) => format!("key_file = {path:?}"),
            UnlockSource::KeyCommand(path) => format!("key_command = {path:?}"),
        };
        format!(
            "# How this node runs. Relative paths are relative to this folder.\n\
             member = \"{member}\"\n\
             # Address that peers reach; the member list names it to them.\n\
             listen = \"{listen}\"\n\
             # Address for your own systems on other machines, by mutual TLS; without it only the\n\
             # socket in this folder. Their credentials: creditmesh cert operator NAME.\n\
             # operator_listen = \"127.0.0.1:7444\"\n\
             # Operators' names or serial numbers that are refused; taken while the node runs.\n\
             # operator_refused = []\n\
             # Registrars of the network: they renew the certificate and send newer member lists.\n\
             # Without one, both come by file.\n\
             registrar = {registrar:?}\n\
             # Opens the key ring: a passphrase_file, a key_file, or a key_command that prints\n\
             # the key.\n\
             {unlock}\n\
             # Thresholds of the flags; without it the built-in policy of the network's currency.\n\
             # policy = \"policy.toml\"\n\
             # How long records are kept, how fast disputes are decided; without it the\n\
             # built-in terms (policies/retention.toml).\n\
             # retention = \"retention.toml\"\n\
             # Memory for the store's cache, MiB.\n\
             cache_mib = {cache}\n\
             # Days until what was deleted can be opened by nobody: every row is sealed anew and\n\
             # the older keys are destroyed.\n\
             # rekey_days = {rekey}\n\
             # How long a publication waits for company, at most 50.\n\
             group_interval_ms = {group}\n\
             # How long a peer may take to answer before it counts as silent.\n\
             peer_deadline_ms = {deadline}\n\
             # \"auto\" computes with eight group elements at a time where the processor can;\n\
             # \"dalek\" never does.\n\
             # group_arithmetic = \"auto\"\n\
             {alerts}{light}{store}",
            cache = cache_mib_default(),
            rekey = rekey_days_default(),
            group = group_interval_ms_default(),
            deadline = peer_deadline_ms_default(),
            alerts = AlertsConfig::SAMPLE,
            light = LightConfig::SAMPLE,
            store = store.sample(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: &str = "member = \"alpha\"\nlisten = \"127.0.0.1:7401\"\nkey_file = \"k\"\n";

    #[test]
    fn the_sample_parses_to_what_it_was_made_from() {
        let member: MemberId = "alpha".parse().unwrap();
        let listen: SocketAddr = "127.0.0.1:7401".parse().unwrap();
        let unlock = UnlockSource::KeyFile("unlock.key".into());
        let store = StoreConfig::Sled;
        let sample = NodeConfig::sample(&member, listen, &unlock, &[], &store);
        let config = NodeConfig::parse(&sample).unwrap();
        assert_eq!(
            (config.member, config.listen, config.unlock),
            (member, listen, unlock)
        );
    }

    #[test]
    fn the_operator_port_is_closed_unless_it_is_asked_for() {
        let config = NodeConfig::parse(SOUND).unwrap();
        assert_eq!(config.operator_listen, None);
        let text = format!(
            "{SOUND}operator_listen = \"0.0.0.0:7444\"\n\
             operator_refused = [\"loans-1\", \"4f00ab\"]\n"
        );
        let config = NodeConfig::parse(&text).unwrap();
        assert_eq!(config.operator_listen, "0.0.0.0:7444".parse().ok());
        assert!(config.operator_refused.contains("loans-1"));
        assert!(config.operator_refused.contains("4f00ab"));
    }

    #[test]
    fn dalek_alone_computes_where_it_is_asked_for() {
        let chosen = |line: &str| {
            let config = NodeConfig::parse(&format!("{SOUND}{line}")).unwrap();
            config.group_arithmetic
        };
        assert_eq!(chosen(""), GroupArithmetic::Auto);
        assert_eq!(
            chosen("group_arithmetic = \"auto\"\n"),
            GroupArithmetic::Auto
        );
        assert_eq!(
            chosen("group_arithmetic = \"dalek\"\n"),
            GroupArithmetic::Dalek
        );
    }

    #[test]
    fn each_broken_key_is_named() {
        let cases = [
            ("passphrase_file = \"p\"\n", "passphrase_file"),
            ("key_command = \"c\"\n", "only one"),
            ("group_interval_ms = 51\n", "group_interval_ms"),
            ("group_interval_ms = 0\n", "group_interval_ms"),
            ("peer_deadline_ms = 0\n", "peer_deadline_ms"),
            ("cache_mib = 1\n", "cache_mib"),
            ("group_arithmetic = \"fast\"\n", "group_arithmetic"),
            ("rekey_days = 0\n", "rekey_days"),
            ("rekey_days = 91\n", "rekey_days"),
            ("operator_listen = \"7444\"\n", "operator_listen"),
            ("operator_listen = \"127.0.0.1:7401\"\n", "another address"),
            ("operator_refused = [\"Loans 1\"]\n", "operator_refused"),
            ("colour = \"red\"\n", "colour"),
        ];
        for (line, key) in cases {
            let error = NodeConfig::parse(&format!("{SOUND}{line}"))
                .unwrap_err()
                .to_string();
            assert!(error.contains(key), "{error}");
        }
        for (good, bad, key) in [
            ("alpha", "Alpha!", "member"),
            ("127.0.0.1:7401", "7401", "listen"),
        ] {
            let error = NodeConfig::parse(&SOUND.replace(good, bad))
                .unwrap_err()
                .to_string();
            assert!(error.contains(key), "{error}");
        }
        assert!(NodeConfig::parse("member = \"alpha\"").is_err());
    }
}
