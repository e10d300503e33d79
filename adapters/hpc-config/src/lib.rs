//! Files, environment and secrets into typed configuration, and the one strict reader of YAML, TOML and JSON documents.
//!
//! Never prints a configured value, never guesses the type of an environment variable, never takes a missing
//! file for an empty one, never reads the clock.
//!
//! ```
//! use hpc_config::{ConfigBuilder, Format};
//!
//! #[derive(serde::Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct AppConfig { listen_addr: String, log_level: String, #[serde(default)] database_url: Option<String> }
//!
//! let config: AppConfig = ConfigBuilder::new()
//!     .add_text("config.yaml", "listen_addr: 127.0.0.1:7801\nlog_level: info\n", Format::Yaml)?
//!     .add_env_from("APP", [("APP_LOG_LEVEL", "debug")])
//!     .build()?;
//! assert_eq!((config.log_level.as_str(), config.database_url), ("debug", None));
//! # assert_eq!(config.listen_addr, "127.0.0.1:7801");
//! # Ok::<(), hpc_config::ConfigError>(())
//! ```
//!
//! # Layers
//! Later layers win over earlier ones, key by key; lists are replaced as a whole.
//! The usual order is [`add_defaults`](ConfigBuilder::add_defaults), [`add_file`](ConfigBuilder::add_file),
//! [`add_env_prefix`](ConfigBuilder::add_env_prefix), [`set`](ConfigBuilder::set) for the command line.
//!
//! # Environment
//! With the prefix `APP`, `APP_LISTEN_ADDR` is the key `listen_addr` and `APP_TLS__KEY_PATH` is `tls.key_path`:
//! two underscores go one level down, a single one belongs to the name, upper case becomes lower case.
//! The text becomes what the target asks for: a number, a boolean, text, or a list separated by commas.
//! `APP_DATABASE__PASSWORD__FILE=/run/keys/db` reads `database.password` from that file.
//! A variable that no field wants is a warning, in a file it is an error if the type denies unknown fields.
//!
//! # Secrets
//! A value `secret://file/run/keys/db` is replaced by the content of `/run/keys/db`, and
//! `secret://credential/db` by that of `db` in systemd's `$CREDENTIALS_DIRECTORY`. The file must belong to this
//! user or root, nobody else may have any right to it, and it may not be a link out of its directory.
//!
//! No features.

mod builder;
mod document;
mod env;
mod error;
mod explain;
mod file;
mod json;
mod secret;
mod suggest;
mod toml_format;
mod tree;
mod value;
mod yaml;

pub use builder::{ConfigBuilder, LAYERS_MAX, load_with_env};
pub use document::{Format, parse_document, parse_document_named, read_document};
pub use error::{ConfigError, DocumentError, Place, Problem};
pub use explain::{Explanation, KeySource};
pub use file::{FILE_BYTES_MAX, SECRET_BYTES_MAX};
pub use secret::Secret;
pub use tree::DEPTH_MAX;
