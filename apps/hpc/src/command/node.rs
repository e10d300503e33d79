//! `hpc node join-token`.

use hpc_error::{HpcError, codes};
use hpc_types::control::v1;
use serde_json::json;

use crate::args::{Global, Node};
use crate::command::receipts;
use crate::output::Screen;
use crate::session::{Session, Surroundings, failure};
use crate::text;

pub(super) async fn run(
    command: Node,
    global: &Global,
    around: &Surroundings,
    screen: &mut Screen<'_>,
) -> Result<u8, HpcError> {
    let Node::JoinToken { name, ttl } = command;
    let ttl = ttl
        .map(hpc_types::time::duration_to_proto)
        .transpose()
        .map_err(|error| HpcError::coded(&codes::USG_OUT_OF_RANGE, error.to_string()))?;
    let session = Session::open(around, global).await?;
    let message = v1::JoinTokenRequest { node_name: name.clone(), ttl };
    let answer = session.nodes().join_token(session.call(message)).await.map_err(failure)?.into_inner();
    let expires_at = answer.expires_at.as_ref().and_then(|at| hpc_types::time::from_proto(at).ok());
    let receipts = receipts::take(&answer.receipts, &session, global, screen);
    // The token is data and shown once: it goes to standard output and nowhere else.
    if screen.format.is_json() {
        screen.value(&json!({"node": name, "token": answer.token, "expires_at": expires_at}))?;
    } else {
        screen.text(&format!("{}\n", text::line(&answer.token)))?;
    }
    let until = expires_at.map(|at| format!(" until {}", text::moment(at))).unwrap_or_default();
    screen.say(&format!(
        "good once, for node `{}`{until}; it is a secret: keep it in a file",
        text::line(&name)
    ));
    screen.say(&format!(
        "On the node: hpc-agent run --token-file FILE --daemon {}",
        text::line(&session.context.endpoint)
    ));
    receipts.map(|()| 0)
}
