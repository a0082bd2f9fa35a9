//! Connections to the database: how many, how secured, and what each is set to.

use std::time::Duration;

use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres::{Config, NoTls};

use crate::limits::{STORE_CONNECTIONS_MAX, STORE_CONNECTIONS_MIN};
use crate::store::StoreError;

use super::PostgresOptions;

/// How long one attempt to connect may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);

/// How long a caller waits for a free connection before it tries again.
const FREE_WITHIN: Duration = Duration::from_secs(3);

/// How long unacknowledged bytes may hang before the connection counts as lost.
const SILENT_AT_MOST: Duration = Duration::from_secs(10);

/// What each connection is set to. Commits wait for the disk, and for the standby where there is
/// one, whatever the server's default; a transaction of a node that hangs does not hold others up.
const SETTINGS: &str = "\
    set default_transaction_isolation = 'read committed'; \
    set statement_timeout = '10s'; \
    set idle_in_transaction_session_timeout = '10s'";

/// Never weaker than `on`; `remote_apply` is stronger and stays.
const DURABLE: &str = "select set_config('synchronous_commit', 'on', false) \
    where current_setting('synchronous_commit') not in ('on', 'remote_apply')";

/// The pool of a store's connections, none of which is open yet.
pub(super) fn pool(options: &PostgresOptions) -> Result<Pool, StoreError> {
    let most = STORE_CONNECTIONS_MIN..=STORE_CONNECTIONS_MAX;
    let connections = options.connections.clamp(*most.start(), *most.end());
    let mut config = options.config.clone();
    config.target_session_attrs(TargetSessionAttrs::ReadWrite);
    config.connect_timeout(CONNECT_WITHIN);
    config.tcp_user_timeout(SILENT_AT_MOST);
    config.application_name("creditmesh");
    let manager_config = ManagerConfig {
        recycling_method: RecyclingMethod::Fast,
    };
    let manager = match &options.tls {
        Some(tls) => {
            config.ssl_mode(SslMode::Require);
            Manager::from_config(config, tls.clone(), manager_config)
        }
        None if stays_on_this_machine(&config) => {
            config.ssl_mode(SslMode::Disable);
            Manager::from_config(config, NoTls, manager_config)
        }
        None => return Err(StoreError::DatabaseNeedsTls),
    };
    Pool::builder(manager)
        .max_size(connections)
        .runtime(Runtime::Tokio1)
        .create_timeout(Some(CONNECT_WITHIN))
        .wait_timeout(Some(FREE_WITHIN))
        .recycle_timeout(Some(CONNECT_WITHIN))
        .post_create(Hook::async_fn(|client, _| {
            Box::pin(async move {
                let set = async {
                    client.batch_execute(SETTINGS).await?;
                    client.execute(DURABLE, &[]).await
                };
                set.await.map(drop).map_err(HookError::Backend)
            })
        }))
        .build()
        .map_err(|error| StoreError::Unreachable {
            reason: error.to_string(),
        })
}

/// Whether the database is reached by a Unix socket or the loopback interface only.
pub(super) fn stays_on_this_machine(config: &Config) -> bool {
    let hosts = config.get_hosts();
    !hosts.is_empty()
        && hosts.iter().all(|host| match host {
            Host::Unix(_) => true,
            Host::Tcp(name) => {
                name == "localhost"
                    || name
                        .parse::<std::net::IpAddr>()
                        .is_ok_and(|address| address.is_loopback())
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(text: &str) -> bool {
        stays_on_this_machine(&text.parse().expect("a connection string"))
    }

    #[test]
    fn only_this_machine_is_reached_without_tls() {
        assert!(local("host=/run/postgresql dbname=a"));
        assert!(local("postgresql://node@localhost:5432/a"));
        assert!(local("host=127.0.0.1 dbname=a"));
        assert!(local("host=::1 dbname=a"));
        assert!(!local("host=127.0.0.1,db.example.com dbname=a"));
        assert!(!local("postgresql://node@10.0.0.7/a"));
        assert!(!local("dbname=a"));
    }
}
