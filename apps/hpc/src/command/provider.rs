//! `hpc provider`: list, show.

use hpc_broker::ProviderStatus;
use hpc_error::HpcError;
use hpc_resources::ProviderId;
use hpc_types::control::v1;

use crate::args::{Global, Provider};
use crate::command::{checked_id, daemon_now};
use crate::output::Screen;
use crate::render;
use crate::session::{Session, Surroundings, failure, read};

pub(super) async fn run(
    command: Provider,
    global: &Global,
    around: &Surroundings,
    screen: &mut Screen<'_>,
) -> Result<u8, HpcError> {
    match command {
        Provider::List => {
            let session = Session::open(around, global).await?;
            let message = v1::ListProvidersRequest {};
            let answer = session.providers().list(session.call(message)).await.map_err(failure)?.into_inner();
            if screen.format.is_json() {
                screen.documents(&answer.items)?;
            } else if answer.items.is_empty() {
                screen.say("no providers that you may see");
            } else {
                let providers: Vec<ProviderStatus> = answer
                    .items
                    .iter()
                    .map(|item| read(item, "hpc.provider/v1"))
                    .collect::<Result<_, _>>()?;
                let now = daemon_now(&session, around).await;
                screen.text(&render::provider::list(&providers, now, screen.format.is_wide()))?;
            }
        }
        Provider::Show { provider } => {
            let provider = checked_id(ProviderId::parse(provider))?;
            let session = Session::open(around, global).await?;
            let message = v1::ShowRequest { id: provider.to_string() };
            let document =
                session.providers().show(session.call(message)).await.map_err(failure)?.into_inner();
            if screen.format.is_json() {
                screen.document(&document)?;
            } else {
                let status: ProviderStatus = read(&document, "hpc.provider/v1")?;
                let now = daemon_now(&session, around).await;
                screen.text(&render::provider::one(&status, now))?;
            }
        }
    }
    Ok(0)
}
