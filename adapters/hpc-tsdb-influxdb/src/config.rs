//! Settings.

use std::time::Duration;

use hpc_timeseries::{TimeSeriesError, check_name};
use reqwest::Url;
use zeroize::Zeroizing;

/// Database used unless another is named.
pub const DATABASE_DEFAULT: &str = "hpc";

/// Longest token, in bytes.
const TOKEN_BYTES_MAX: usize = 1_024;

/// Settings of the client. Has no `Debug`, because it holds the token.
pub struct InfluxDbConfig {
    url: String,
    token: Zeroizing<String>,
    /// Database; for InfluxDB 2 a bucket mapped to this database name. Default [`DATABASE_DEFAULT`].
    pub database: String,
    /// How long one request may take. Default 30 seconds.
    pub timeout: Duration,
    /// Most bytes of one answer, after decompression. Default 64 MiB.
    pub response_bytes_max: usize,
}

impl InfluxDbConfig {
    /// Settings for a server such as `http://influxdb:8086` and a token; an empty token sends none.
    pub fn new(url: impl Into<String>, token: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            token: Zeroizing::new(token.into()),
            database: DATABASE_DEFAULT.to_owned(),
            timeout: Duration::from_secs(30),
            response_bytes_max: 64 * 1024 * 1024,
        }
    }

    pub(crate) fn checked_url(&self) -> Result<Url, TimeSeriesError> {
        let wrong = |why: &str| TimeSeriesError::Config { setting: "url", why: why.to_owned() };
        let url = Url::parse(&self.url).map_err(|error| wrong(&error.to_string()))?;
        match url.scheme() {
            "http" => {}
            "https" => {
                return Err(wrong(
                    "TLS is not supported yet: use http inside a trusted network or through a proxy",
                ));
            }
            _ => return Err(wrong("it has to begin with `http://`")),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("no user and password in the address: give a token"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("nothing after the path: `http://influxdb:8086`"));
        }
        Ok(url)
    }

    /// The header value, or `None` without a token.
    pub(crate) fn authorization(&self) -> Result<Option<Zeroizing<String>>, TimeSeriesError> {
        if self.token.is_empty() {
            return Ok(None);
        }
        let valid =
            self.token.len() <= TOKEN_BYTES_MAX && self.token.bytes().all(|byte| byte.is_ascii_graphic());
        if !valid {
            let why =
                format!("1 to {TOKEN_BYTES_MAX} visible ASCII characters, without spaces and line ends");
            return Err(TimeSeriesError::Config { setting: "token", why });
        }
        Ok(Some(Zeroizing::new(format!("Token {}", self.token.as_str()))))
    }

    pub(crate) fn check(&self) -> Result<(), TimeSeriesError> {
        check_name(&self.database)
            .map_err(|why| TimeSeriesError::Config { setting: "database", why: why.to_string() })?;
        if self.timeout.is_zero() {
            return Err(TimeSeriesError::Config { setting: "timeout", why: "longer than zero".to_owned() });
        }
        Ok(())
    }
}
