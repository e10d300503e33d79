//! The HTTP client of a witness.

use hpc_crypto::tlog_policy::PolicyWitness;
use hpc_error::{HpcError, codes};
use reqwest::{StatusCode, Url};

use super::limits::{ANSWER_BYTES_MAX, ANSWER_TIME_MAX, CONNECT_TIME_MAX};

/// What a witness answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// Signature lines, not yet checked.
    Cosigned(String),
    /// It is at this size.
    Elsewhere(u64),
}

/// Speaks to witnesses. Connections are kept.
#[derive(Clone)]
pub(super) struct Client(reqwest::Client);

impl Client {
    pub(super) fn new() -> Result<Self, HpcError> {
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIME_MAX)
            .timeout(ANSWER_TIME_MAX)
            // A witness that sends us elsewhere is not the one that the policy names.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| {
                HpcError::coded(&codes::INT_BUG, format!("witnesses cannot be spoken to: {error}"))
            })?;
        Ok(Self(client))
    }

    pub(super) async fn add_checkpoint(&self, url: Url, body: String) -> Result<Reply, String> {
        let answer = self.0.post(url).body(body).send().await.map_err(|error| unreachable(&error))?;
        let status = answer.status();
        let text = text(answer).await?;
        match status {
            StatusCode::OK => Ok(Reply::Cosigned(text)),
            StatusCode::CONFLICT => {
                let size = text.strip_suffix('\n').and_then(|size| size.parse::<u64>().ok());
                size.map(Reply::Elsewhere).ok_or_else(|| "its 409 names no size".to_owned())
            }
            status => {
                let why: String = text.chars().filter(|c| !c.is_control()).take(200).collect();
                Err(format!("it answered {}: {why}", status.as_u16()))
            }
        }
    }
}

async fn text(mut answer: reqwest::Response) -> Result<String, String> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| unreachable(&error))? {
        if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(format!("its answer has more than {ANSWER_BYTES_MAX} bytes"));
        }
        bytes.extend_from_slice(&chunk);
    }
    String::from_utf8(bytes).map_err(|_| "its answer is not UTF-8".to_owned())
}

/// Why, in words that stay the same while the cause does.
fn unreachable(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        "it does not answer in time".to_owned()
    } else if error.is_connect() {
        "it cannot be reached".to_owned()
    } else {
        "the connection to it broke".to_owned()
    }
}

/// Where a witness is asked; `None` for one that has no URL.
pub(super) fn url(witness: &PolicyWitness) -> Result<Option<Url>, HpcError> {
    let Some(given) = &witness.url else { return Ok(None) };
    let bad = |why: &str| {
        let message = format!("the URL `{given}` of witness `{}` cannot be used: {why}", witness.name);
        HpcError::coded(&codes::USG_UNKNOWN_VALUE, message)
    };
    let base = given.as_str().ok_or_else(|| bad("it is not UTF-8"))?;
    let url = Url::parse(&format!("{}/add-checkpoint", base.trim_end_matches('/')))
        .map_err(|error| bad(&error.to_string()))?;
    match url.scheme() {
        "https" | "http" if url.query().is_none() && url.fragment().is_none() => Ok(Some(url)),
        _ => Err(bad("it is not an `https://` or `http://` URL without a query")),
    }
}
