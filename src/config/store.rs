//! `[store]` in `node.toml`: which engine keeps the rows.

use std::path::PathBuf;

use serde::Deserialize;

use super::node::{ConfigError, value};
use crate::limits::{STORE_CONNECTIONS_DEFAULT, STORE_CONNECTIONS_MAX, STORE_CONNECTIONS_MIN};

/// Which engine keeps a node's rows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum StoreConfig {
    /// sled, in the node's folder.
    #[default]
    Sled,
    /// A database that speaks PostgreSQL's wire protocol.
    Postgres(DatabaseConfig),
}

/// How a node reaches its database. Relative paths are relative to the node's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseConfig {
    /// Hosts, user, database: a connection string without a password.
    pub connection: String,
    /// File whose first line is the password; none where the database asks for none.
    pub password_file: Option<PathBuf>,
    /// PEM file of the root certificates that the database's certificate rests on; without it
    /// those of the system.
    pub roots: Option<PathBuf>,
    /// Most connections of this process.
    pub connections: usize,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawStore {
    engine: Option<String>,
    connection: Option<String>,
    password_file: Option<PathBuf>,
    roots: Option<PathBuf>,
    connections: Option<usize>,
}

impl RawStore {
    pub(super) fn checked(self) -> Result<StoreConfig, ConfigError> {
        match self.engine.as_deref() {
            None | Some("sled") => self.in_folder(),
            Some("postgres") => self.postgres(),
            Some(_) => Err(value("store.engine", "must be \"sled\" or \"postgres\"")),
        }
    }

    fn in_folder(self) -> Result<StoreConfig, ConfigError> {
        let none = self.connection.is_none()
            && self.password_file.is_none()
            && self.roots.is_none()
            && self.connections.is_none();
        if none {
            Ok(StoreConfig::Sled)
        } else {
            let rule = "must be \"postgres\" where the table says how a database is reached";
            Err(value("store.engine", rule))
        }
    }

    fn postgres(self) -> Result<StoreConfig, ConfigError> {
        let rule = "must say how the database is reached, such as \"host=db.example \
                    user=creditmesh dbname=creditmesh\"";
        let connection = self
            .connection
            .ok_or_else(|| value("store.connection", rule))?;
        let connections = self.connections.unwrap_or(STORE_CONNECTIONS_DEFAULT);
        if !(STORE_CONNECTIONS_MIN..=STORE_CONNECTIONS_MAX).contains(&connections) {
            let rule = format!("must be {STORE_CONNECTIONS_MIN} to {STORE_CONNECTIONS_MAX}");
            return Err(value("store.connections", rule));
        }
        Ok(StoreConfig::Postgres(DatabaseConfig {
            connection,
            password_file: self.password_file,
            roots: self.roots,
            connections,
        }))
    }
}

impl StoreConfig {
    /// The table as a `node.toml` has it, with every key explained.
    pub(super) fn sample(&self) -> String {
        match self {
            Self::Sled => "\n# Which engine keeps the rows: sled, in this folder, or a database \
                 that speaks\n# PostgreSQL's wire protocol (docs/storage.md).\n# [store]\n\
                 # engine = \"postgres\"\n\
                 # connection = \"host=db.example user=creditmesh dbname=creditmesh\"\n\
                 # password_file = \"database.password\"\n# roots = \"database-roots.pem\"\n"
                .to_owned(),
            Self::Postgres(database) => database.sample(),
        }
    }
}

impl DatabaseConfig {
    fn sample(&self) -> String {
        let line = |key: &str, path: &Option<PathBuf>| match path {
            Some(path) => format!("{key} = {path:?}\n"),
            None => String::new(),
        };
        format!(
            "\n# The database that keeps the rows (docs/storage.md).\n[store]\n\
             engine = \"postgres\"\nconnection = {:?}\n{}{}\
             # Most connections of this process.\nconnections = {}\n",
            self.connection,
            line("password_file", &self.password_file),
            line("roots", &self.roots),
            self.connections,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::NodeConfig;

    fn parse(table: &str) -> Result<StoreConfig, String> {
        let text = format!(
            "member = \"alpha\"\nlisten = \"127.0.0.1:7401\"\nkey_file = \"k\"\n[store]\n{table}"
        );
        let config = NodeConfig::parse(&text).map_err(|error| error.to_string())?;
        Ok(config.store)
    }

    fn database() -> DatabaseConfig {
        DatabaseConfig {
            connection: "host=/run/postgresql user=\"a b\"".to_owned(),
            password_file: Some("database.password".into()),
            roots: None,
            connections: STORE_CONNECTIONS_DEFAULT,
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let store = StoreConfig::Postgres(database());
        let text = store.sample().replace("[store]\n", "");
        assert_eq!(parse(&text), Ok(store));
        assert_eq!(parse("engine = \"sled\"\n"), Ok(StoreConfig::Sled));
        assert_eq!(parse(""), Ok(StoreConfig::Sled));
    }

    #[test]
    fn each_broken_key_is_named() {
        let postgres = "engine = \"postgres\"\nconnection = \"host=db\"\n";
        for (table, key) in [
            ("engine = \"mysql\"\n".to_owned(), "store.engine"),
            ("connection = \"host=db\"\n".to_owned(), "store.engine"),
            ("engine = \"postgres\"\n".to_owned(), "store.connection"),
            (format!("{postgres}connections = 1\n"), "store.connections"),
            (format!("{postgres}connections = 65\n"), "store.connections"),
            (format!("{postgres}password = \"p\"\n"), "password"),
        ] {
            let error = parse(&table).unwrap_err();
            assert!(error.contains(key), "{error}");
        }
    }
}
