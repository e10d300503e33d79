//! The clients, all with the same settings: no retries, a limit on every call.

use google_cloud_auth::credentials::{Builder, Credentials as Key, anonymous, service_account};
use google_cloud_compute_v1::client::{
    AcceleratorTypes, GlobalOperations, Instances, MachineTypes, Projects, Regions, Reservations,
    ZoneOperations,
};
use google_cloud_gax::retry_policy::NeverRetry;
use hpc_provider::{Certainty, ErrorKind, ProviderError, Scope};

use crate::config::{ConfigError, Credentials, GcpConfig};

/// Most pages of one list. Compute Engine ends its lists; an answer that does not is not believed.
pub(crate) const PAGES_MAX: usize = 1_000;
/// What a credential is asked for: all of Compute Engine, and nothing else.
const SCOPE: &str = "https://www.googleapis.com/auth/compute";

/// Why no provider could be made. The texts hold no part of a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The settings are wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// There is no credential, or it cannot be read.
    #[error(
        "no credential: {0}; set one up with `gcloud auth application-default login`, or name a service account's key"
    )]
    Credential(String),
    /// The client could not be made.
    #[error("no client of Compute Engine: {0}")]
    Client(String),
}

#[derive(Clone, Debug)]
pub(crate) struct Clients {
    pub(crate) instances: Instances,
    pub(crate) machine_types: MachineTypes,
    pub(crate) accelerator_types: AcceleratorTypes,
    pub(crate) zone_operations: ZoneOperations,
    pub(crate) global_operations: GlobalOperations,
    pub(crate) regions: Regions,
    pub(crate) reservations: Reservations,
    pub(crate) projects: Projects,
}

fn key(config: &GcpConfig) -> Result<Key, ConnectError> {
    match &config.credentials {
        Credentials::Anonymous => Ok(anonymous::Builder::new().build()),
        Credentials::Chain => Builder::default()
            .with_scopes([SCOPE])
            .build()
            .map_err(|error| ConnectError::Credential(error.to_string())),
        Credentials::ServiceAccountKey(text) => {
            // What a parser says of a key may quote it.
            let unreadable = |_| ConnectError::Credential("the service account's key is not JSON".to_owned());
            let key = serde_json::from_str(text).map_err(unreadable)?;
            let scopes = service_account::AccessSpecifier::from_scopes([SCOPE]);
            let refused = |_| ConnectError::Credential("the service account's key is not one".to_owned());
            service_account::Builder::new(key).with_access_specifier(scopes).build().map_err(refused)
        }
    }
}

/// Makes one client; all builders have the same methods and no trait in common.
macro_rules! client {
    ($kind:ident, $config:expr, $key:expr) => {{
        let builder = $kind::builder()
            .with_credentials($key.clone())
            // Wrappers retry, by certainty; the SDK would repeat a create without telling.
            .with_retry_policy(NeverRetry)
            .with_attempt_timeout($config.call_timeout);
        let builder = match &$config.endpoint {
            Some(endpoint) => builder.with_endpoint(endpoint.clone()),
            None => builder,
        };
        builder.build().await.map_err(|error| ConnectError::Client(error.to_string()))?
    }};
}

impl Clients {
    pub(crate) async fn connect(config: &GcpConfig) -> Result<Self, ConnectError> {
        let key = key(config)?;
        Ok(Self {
            instances: client!(Instances, config, key),
            machine_types: client!(MachineTypes, config, key),
            accelerator_types: client!(AcceleratorTypes, config, key),
            zone_operations: client!(ZoneOperations, config, key),
            global_operations: client!(GlobalOperations, config, key),
            regions: client!(Regions, config, key),
            reservations: client!(Reservations, config, key),
            projects: client!(Projects, config, key),
        })
    }
}

/// An answer that cannot be right.
pub(crate) fn nonsense(certainty: Certainty, what: &str) -> ProviderError {
    ProviderError::new(ErrorKind::Internal, Scope::Region, certainty, "BadAnswer", what)
}

/// The token of the next page; "no more" is written in two ways.
pub(crate) fn next(token: Option<String>) -> Option<String> {
    token.filter(|token| !token.is_empty())
}

/// What a list over all zones answers: the entries with the scope each was found in, and whether all zones answered.
#[derive(Debug)]
pub(crate) struct Everywhere<T> {
    pub(crate) entries: Vec<(String, T)>,
    pub(crate) whole: bool,
    pub(crate) next: Option<String>,
}

/// The one warning that only says that a zone has nothing.
pub(crate) const NOTHING_THERE: &str = "NO_RESULTS_ON_PAGE";

/// Reads one page of a list over all zones. The answers have the same fields and no trait in common.
macro_rules! page {
    ($provider:expr, $call:expr, $items:ident) => {{
        let answer = $call.send().await;
        let answer =
            answer.map_err(|error| $provider.unknown.judge(crate::taxonomy::Effect::Read, &error))?;
        let mut whole = answer.unreachables.is_empty();
        if let Some(warning) = &answer.warning {
            let code = warning.code.as_ref().and_then(|code| code.name());
            whole &= code == Some(crate::sdk::client::NOTHING_THERE);
        }
        let mut entries = Vec::new();
        let mut scopes: Vec<_> = answer.items.into_iter().collect();
        scopes.sort_by(|(one, _), (other, _)| one.cmp(other));
        for (scope, list) in scopes {
            if let Some(warning) = &list.warning {
                let code = warning.code.as_ref().and_then(|code| code.name());
                whole &= code == Some(crate::sdk::client::NOTHING_THERE);
            }
            let zone = crate::names::last(&scope).to_owned();
            entries.extend(list.$items.into_iter().map(|item| (zone.clone(), item)));
        }
        let next = crate::sdk::client::next(answer.next_page_token);
        crate::sdk::client::Everywhere { entries, whole, next }
    }};
}
pub(crate) use page;

/// Reads all pages of a list over all zones.
macro_rules! pages {
    ($provider:expr, $call:expr, $items:ident) => {{
        let mut all = crate::sdk::client::Everywhere { entries: Vec::new(), whole: true, next: None };
        let mut read = 0;
        loop {
            let call = $call.set_or_clear_page_token(all.next.take());
            let page = crate::sdk::client::page!($provider, call, $items);
            all.entries.extend(page.entries);
            all.whole &= page.whole;
            all.next = page.next;
            read += 1;
            if all.next.is_none() {
                break all;
            }
            if read >= crate::sdk::client::PAGES_MAX {
                let what = "a list that does not end";
                return Err(crate::sdk::client::nonsense(hpc_provider::Certainty::NotDone, what));
            }
        }
    }};
}
pub(crate) use pages;

/// A filter that finds what has one of these names.
pub(crate) fn named<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let each: Vec<String> = names.into_iter().map(|name| format!("(name = \"{name}\")")).collect();
    each.join(" OR ")
}
