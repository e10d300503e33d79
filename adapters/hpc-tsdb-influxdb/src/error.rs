//! What the server and the network say, in the words of the port.

use hpc_timeseries::TimeSeriesError;
use reqwest::StatusCode;

/// Most characters kept of the server's words.
const WORDS_MAX: usize = 300;

/// At most [`WORDS_MAX`] characters on one line.
pub(crate) fn words(text: &str) -> String {
    text.chars()
        .take(WORDS_MAX)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect::<String>()
        .trim()
        .to_owned()
}

/// A request that got no answer. The address is left out: whoever configured it knows it.
pub(crate) fn transport(error: reqwest::Error) -> TimeSeriesError {
    let mut why = words(&error.to_string());
    if error.is_timeout() {
        why = "no answer in time".to_owned();
    } else if error.is_connect() {
        why = "cannot connect".to_owned();
    }
    TimeSeriesError::Unavailable { why: format!("InfluxDB: {why}") }
}

/// An answer whose status is not success.
pub(crate) fn status(status: StatusCode, said: &str, write: bool) -> TimeSeriesError {
    let why = format!("{}: {}", status.as_u16(), words(said));
    match status.as_u16() {
        401 | 403 => TimeSeriesError::Denied { why },
        404 => TimeSeriesError::Config { setting: "database", why },
        429 => TimeSeriesError::Backpressure,
        503 if write => TimeSeriesError::Backpressure,
        400..=499 if write => TimeSeriesError::BatchRefused { why },
        400..=499 => TimeSeriesError::UnsupportedQuery { why },
        300..=399 => {
            TimeSeriesError::Config { setting: "url", why: format!("the server sends elsewhere ({why})") }
        }
        _ => TimeSeriesError::Unavailable { why },
    }
}

/// An answer that does not have the form it should have.
pub(crate) fn form(why: impl std::fmt::Display) -> TimeSeriesError {
    TimeSeriesError::Unavailable {
        why: format!("the answer of InfluxDB is not understood: {}", words(&why.to_string())),
    }
}
