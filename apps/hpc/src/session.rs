//! One daemon, spoken to: the context, the channel, and how its failures read.

use std::path::PathBuf;
use std::time::Duration;

use hpc_error::{ErrorKind, HpcError, Retry, codes};
use hpc_rpc::grpc::control::v1 as rpc;
use hpc_rpc::grpc::{ClientLimits, GrpcChannel, GrpcClientBuilder, GrpcError};
use hpc_types::control::v1::Document;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tonic::Status;

use crate::args::Global;
use crate::context::{self, Context, ContextError};
use crate::text;

/// How long a call may take when `--timeout` does not say.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What a command knows of the world beyond its arguments.
pub struct Surroundings {
    /// The folder of contexts.
    pub home: Result<PathBuf, ContextError>,
    /// Reads the clock.
    pub now: fn() -> Timestamp,
}

impl Surroundings {
    pub(crate) fn home(&self) -> Result<&PathBuf, HpcError> {
        self.home.as_ref().map_err(|error| HpcError::coded(&codes::USG_FILE_MISSING, error.to_string()))
    }

    /// The name of the context to use.
    pub(crate) fn context_name(&self, global: &Global) -> Result<String, HpcError> {
        match &global.context {
            Some(name) => Ok(name.clone()),
            None => Ok(context::in_use(self.home()?)?),
        }
    }
}

/// A channel to the daemon of a context.
pub(crate) struct Session {
    pub(crate) context: Context,
    channel: GrpcChannel,
    timeout: Option<Duration>,
}

macro_rules! clients {
    ($($name:ident, $module:ident, $client:ident;)+) => {
        impl Session {
            $(pub(crate) fn $name(&self) -> rpc::$module::$client<GrpcChannel> {
                rpc::$module::$client::new(self.channel.clone())
            })+
        }
    };
}

clients! {
    requests, request_service_client, RequestServiceClient;
    leases, lease_service_client, LeaseServiceClient;
    costs, cost_service_client, CostServiceClient;
    budgets, budget_service_client, BudgetServiceClient;
    audit, audit_service_client, AuditServiceClient;
    policy, policy_service_client, PolicyServiceClient;
    nodes, node_service_client, NodeServiceClient;
    providers, provider_service_client, ProviderServiceClient;
    orphans, orphan_service_client, OrphanServiceClient;
    system, system_service_client, SystemServiceClient;
}

impl Session {
    /// Connects to the daemon of the context in use.
    pub(crate) async fn open(around: &Surroundings, global: &Global) -> Result<Self, HpcError> {
        let name = around.context_name(global)?;
        let home = around.home()?;
        let context = context::read(home, &name)?;
        let (svid, bundle) = context::identity(home, &name)?;
        let now = (around.now)();
        if now >= svid.not_after() {
            let ended = text::moment(svid.not_after());
            let message = format!(
                "your certificate in context `{name}` ended at {ended}; a new start of the daemon writes a new one"
            );
            return Err(HpcError::coded(&codes::AUT_CERTIFICATE_EXPIRED, message).with("context", name));
        }
        let mut limits = ClientLimits::default();
        limits.connect = global.timeout.unwrap_or(limits.connect).min(limits.connect);
        let channel = GrpcClientBuilder::new(context.endpoint.clone())
            .with_server_ca(bundle)
            .with_server_id(context.server_id.clone())
            .with_client_cert(svid)
            .with_limits(limits)
            .connect()
            .await
            .map_err(|error| unreachable(&context, &error))?;
        Ok(Self { context, channel, timeout: global.timeout })
    }

    /// The daemon as its certificate proved it.
    pub(crate) fn server(&self) -> Option<String> {
        self.channel.peer().map(|peer| peer.to_string())
    }

    /// A message with its deadline.
    pub(crate) fn call<T>(&self, message: T) -> tonic::Request<T> {
        let mut request = tonic::Request::new(message);
        request.set_timeout(self.timeout.unwrap_or(TIMEOUT));
        request
    }

    /// A message whose answer may take long: bounded only by what the caller asked for.
    pub(crate) fn long_call<T>(&self, message: T) -> tonic::Request<T> {
        let mut request = tonic::Request::new(message);
        if let Some(timeout) = self.timeout {
            request.set_timeout(timeout);
        }
        request
    }
}

fn unreachable(context: &Context, error: &GrpcError) -> HpcError {
    let code = match error {
        GrpcError::Connect { .. } => &codes::NET_DAEMON_UNREACHABLE,
        GrpcError::Handshake { .. } => &codes::AUT_UNTRUSTED,
        GrpcError::Tls { .. } => &codes::AUT_KEY_UNREADABLE,
        GrpcError::InvalidUri { .. } => &codes::USG_SYNTAX,
        _ => &codes::INT_BUG,
    };
    HpcError::coded(code, error.to_string())
        .with("context", &context.name)
        .with("endpoint", &context.endpoint)
}

/// A refusal of the daemon as an error with a code. What carries none is about the way there.
pub(crate) fn failure(status: Status) -> HpcError {
    let error = HpcError::from(status);
    if error.code_text().is_some() {
        return error;
    }
    let code = match (error.kind(), error.retry()) {
        (ErrorKind::Unavailable, Retry::WithBackoff { after: Some(_) }) => &codes::NET_OVERLOADED,
        (ErrorKind::Unavailable | ErrorKind::Network, _) => &codes::NET_DAEMON_UNREACHABLE,
        (ErrorKind::Timeout, _) => &codes::NET_TIMEOUT,
        (ErrorKind::Unauthenticated, _) => &codes::AUT_CERTIFICATE_MISSING,
        (ErrorKind::Unsupported, _) => &codes::INT_UNIMPLEMENTED,
        _ => return error,
    };
    error.code(code)
}

/// A document that must be there.
pub(crate) fn present(document: Option<Document>) -> Result<Document, HpcError> {
    document.ok_or_else(|| HpcError::coded(&codes::NET_VERSION, "the daemon's answer has no document in it"))
}

/// Reads a document into a record. Unknown fields are passed over; text in it is made harmless for a terminal.
pub(crate) fn read<T: DeserializeOwned>(document: &Document, schema: &str) -> Result<T, HpcError> {
    read_with(document, schema, text::line)
}

/// The same for records that hold text of several lines.
pub(crate) fn read_with<T: DeserializeOwned>(
    document: &Document,
    schema: &str,
    clean: fn(&str) -> String,
) -> Result<T, HpcError> {
    let foreign = |why: String| {
        let message = format!(
            "this client ({}) cannot read the daemon's answer: {}; upgrade the older of the two, or use `-o json`",
            env!("CARGO_PKG_VERSION"),
            text::line(&why)
        );
        HpcError::coded(&codes::NET_VERSION, message).with("schema", schema)
    };
    let mut value: Value = document.read(schema).map_err(|error| foreign(error.to_string()))?;
    make_harmless(&mut value, clean);
    serde_json::from_value(value).map_err(|error| foreign(error.to_string()))
}

fn make_harmless(value: &mut Value, clean: fn(&str) -> String) {
    match value {
        Value::String(text) => *text = clean(text),
        Value::Array(items) => items.iter_mut().for_each(|item| make_harmless(item, clean)),
        Value::Object(fields) => {
            let taken = std::mem::take(fields);
            fields.extend(taken.into_iter().map(|(key, mut value)| {
                make_harmless(&mut value, clean);
                (clean(&key), value)
            }));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_of_the_way_get_a_code_and_others_keep_theirs() {
        for (status, code, exit) in [
            (Status::unavailable("connection lost"), "HPC-NET-0001", 10),
            (Status::deadline_exceeded("too slow"), "HPC-NET-0003", 10),
            (Status::unauthenticated("who?"), "HPC-AUT-0001", 7),
            (Status::unimplemented("not here"), "HPC-INT-0002", 1),
            (HpcError::coded(&codes::PLN_EXPIRED, "old").into(), "HPC-PLN-0001", 9),
            (HpcError::unavailable("busy").retry_after(Duration::from_secs(1)).into(), "HPC-NET-0006", 10),
        ] {
            let error = failure(status);
            assert_eq!((error.code_text(), error.exit_code()), (Some(code), exit));
        }
        assert_eq!(failure(Status::internal("x")).code_text(), None);
    }

    #[test]
    fn documents_are_made_harmless() {
        let document =
            Document::write("hpc.x/v1", &serde_json::json!({"a\u{1b}": ["b\u{1b}[2J", 7]})).unwrap();
        let read: Value = read(&document, "hpc.x/v1").unwrap();
        assert_eq!(read, serde_json::json!({"a ": ["b [2J", 7]}));
        let other = super::read::<Value>(&document, "hpc.y/v1").unwrap_err();
        assert_eq!((other.code_text(), other.exit_code()), (Some("HPC-NET-0005"), 10));
    }
}
