//! `hpc offers`: what could be had, without making a plan.

use hpc_broker::Offers;
use hpc_error::{HpcError, codes};
use hpc_types::control::v1::{self, Document};

use crate::args::{Global, RequestArgs};
use crate::command::request::wanted;
use crate::output::Screen;
use crate::render;
use crate::session::{Session, Surroundings, failure, read};

pub(super) async fn run(
    args: &RequestArgs,
    global: &Global,
    around: &Surroundings,
    screen: &mut Screen<'_>,
) -> Result<u8, HpcError> {
    let request = Some(Document::write("hpc.request/v1", &wanted(args)?)?);
    let session = Session::open(around, global).await?;
    screen.say("asking every provider ...");
    let message = v1::OffersRequest { request };
    let document = session.providers().offers(session.call(message)).await.map_err(failure)?.into_inner();
    let offers: Offers = read(&document, "hpc.offers/v1")?;
    if screen.format.is_json() {
        screen.document(&document)?;
    } else {
        screen.text(&render::offers::offers(&offers, screen.format.is_wide()))?;
    }
    Ok(match (offers.decision.allowed, offers.attempts.is_empty()) {
        (false, _) => codes::PLN_DENIED.exit_code,
        (true, true) => codes::CAP_NO_OFFER.exit_code,
        (true, false) => 0,
    })
}
