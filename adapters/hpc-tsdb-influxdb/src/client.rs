//! How it talks: two requests, one for lines and one for statements, with bounded answers.

use hpc_timeseries::{Query, SeriesSet, TimeSeriesError, TimeSeriesStore};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Client, Response, Url};

use crate::config::InfluxDbConfig;
use crate::error::{status, transport};
use crate::influxql;
use crate::map::{self, Statement};

/// A client of one InfluxDB database. Connections are kept and shared; share the client as `Arc`.
pub struct InfluxDbClient {
    client: Client,
    base: Url,
    database: String,
    response_bytes_max: usize,
}

impl InfluxDbClient {
    /// A client for a server such as `http://influxdb:8086`, its token, and the database [`crate::DATABASE_DEFAULT`].
    ///
    /// Nothing is sent yet.
    ///
    /// # Errors
    /// Only [`TimeSeriesError::Config`].
    pub fn new(url: impl Into<String>, token: impl Into<String>) -> Result<Self, TimeSeriesError> {
        Self::with_config(&InfluxDbConfig::new(url, token))
    }

    /// A client with all settings.
    ///
    /// # Errors
    /// Only [`TimeSeriesError::Config`].
    pub fn with_config(config: &InfluxDbConfig) -> Result<Self, TimeSeriesError> {
        config.check()?;
        let base = config.checked_url()?;
        let mut headers = HeaderMap::new();
        if let Some(authorization) = config.authorization()? {
            let wrong =
                |_| TimeSeriesError::Config { setting: "token", why: "not a header value".to_owned() };
            let mut value = HeaderValue::from_str(&authorization).map_err(wrong)?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let client = Client::builder()
            .default_headers(headers)
            .timeout(config.timeout)
            // A server that sends the token elsewhere is not followed.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| TimeSeriesError::Config { setting: "client", why: error.to_string() })?;
        Ok(Self {
            client,
            base,
            database: config.database.clone(),
            response_bytes_max: config.response_bytes_max,
        })
    }

    /// Answers a query; the same as the method of [`TimeSeriesStore`], without importing it.
    ///
    /// # Errors
    /// As [`TimeSeriesStore::query`].
    pub async fn query(&self, query: Query) -> Result<SeriesSet, TimeSeriesError> {
        TimeSeriesStore::query(self, query).await
    }

    /// Makes the database if it is missing. InfluxDB 2 and 3 make theirs in their own ways and refuse this.
    ///
    /// # Errors
    /// As [`TimeSeriesStore::query`].
    pub async fn create_database(&self) -> Result<(), TimeSeriesError> {
        self.ask(&[influxql::create_database(&self.database)]).await.map(drop)
    }

    /// The address, for messages.
    pub(crate) fn place(&self) -> String {
        format!("{} database {}", self.base, self.database)
    }

    /// Sends lines.
    pub(crate) async fn send(&self, lines: String) -> Result<(), TimeSeriesError> {
        let mut url = self.url("write");
        url.query_pairs_mut().append_pair("db", &self.database).append_pair("precision", "ns");
        let response = self.client.post(url).body(lines).send().await.map_err(transport)?;
        let code = response.status();
        if code.is_success() {
            return Ok(());
        }
        let said = self.body(response).await?;
        Err(status(code, &message(&said), true))
    }

    /// Sends statements and gives one result for each.
    pub(crate) async fn ask(&self, texts: &[String]) -> Result<Vec<Statement>, TimeSeriesError> {
        // Encoded as a form in the body: filters may be longer than an address can be.
        let mut form = self.base.clone();
        form.set_query(None);
        form.query_pairs_mut()
            .append_pair("db", &self.database)
            .append_pair("epoch", "ns")
            .append_pair("q", &texts.join(";"));
        let body = form.query().unwrap_or_default().to_owned();
        let response = self
            .client
            .post(self.url("query"))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(body)
            .send()
            .await
            .map_err(transport)?;
        let code = response.status();
        let body = self.body(response).await?;
        if !code.is_success() {
            return Err(status(code, &message(&body), false));
        }
        map::statements(&body, texts.len())
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        let base = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{base}/{path}"));
        url
    }

    /// The body, up to the limit.
    async fn body(&self, mut response: Response) -> Result<Vec<u8>, TimeSeriesError> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(transport)? {
            if body.len() + chunk.len() > self.response_bytes_max {
                return Err(TimeSeriesError::UnsupportedQuery {
                    why: format!("the answer is over {} bytes: ask for less", self.response_bytes_max),
                });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

/// The server's words: the text under `error`, or the body as it is.
fn message(body: &[u8]) -> String {
    let json: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let words = json.as_ref().and_then(|json| json.get("error").or_else(|| json.get("message"))?.as_str());
    words.map_or_else(|| String::from_utf8_lossy(body).into_owned(), str::to_owned)
}
