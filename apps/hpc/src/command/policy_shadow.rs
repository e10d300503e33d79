//! `hpc policy shadow`, `promote`, `reload`: policies tried beside those in force, and how they come into force.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use hpc_error::{HpcError, codes};
use hpc_types::DOCUMENT_BYTES_MAX;
use hpc_types::control::v1::{self, Document};

use super::policy::{policies, unreadable};
use crate::args::{Global, Shadow};
use crate::command::receipts;
use crate::output::Screen;
use crate::render::policy::{Shown, shown};
use crate::render::shadow::report;
use crate::session::{Session, Surroundings, failure, read, read_with};
use crate::text;

pub(super) async fn run(
    command: Shadow,
    global: &Global,
    around: &Surroundings,
    screen: &mut Screen<'_>,
) -> Result<u8, HpcError> {
    match command {
        Shadow::Set { paths, bundle } => {
            let message = candidate(&paths, bundle.as_deref())?;
            let session = Session::open(around, global).await?;
            let answer = session.policy().set_candidate(session.call(message)).await;
            let (document, recorded) = answer.map_err(failure)?.into_inner().into_parts();
            let receipts = receipts::take(&recorded, &session, global, screen);
            show(&document, screen)?;
            receipts?;
        }
        Shadow::Show => {
            let session = Session::open(around, global).await?;
            let answer = session.policy().show_candidate(session.call(v1::ShowCandidateRequest {})).await;
            show(&answer.map_err(failure)?.into_inner(), screen)?;
        }
        Shadow::Clear => {
            let session = Session::open(around, global).await?;
            let answer = session.policy().clear_candidate(session.call(v1::ClearCandidateRequest {})).await;
            let (document, recorded) = answer.map_err(failure)?.into_inner().into_parts();
            let receipts = receipts::take(&recorded, &session, global, screen);
            show(&document, screen)?;
            screen.say("no candidate is tried any more");
            receipts?;
        }
    }
    Ok(0)
}

pub(super) async fn promote(
    digest: String,
    global: &Global,
    around: &Surroundings,
    screen: &mut Screen<'_>,
) -> Result<u8, HpcError> {
    let session = Session::open(around, global).await?;
    let answer = session.policy().promote(session.call(v1::PromoteRequest { digest })).await;
    let (document, recorded) = answer.map_err(failure)?.into_inner().into_parts();
    let receipts = receipts::take(&recorded, &session, global, screen);
    let code = in_force(&document, screen)?;
    receipts.map(|()| code)
}

pub(super) async fn reload(
    global: &Global,
    around: &Surroundings,
    screen: &mut Screen<'_>,
) -> Result<u8, HpcError> {
    let session = Session::open(around, global).await?;
    let answer = session.policy().reload(session.call(v1::ReloadPolicyRequest {})).await;
    let (document, recorded) = answer.map_err(failure)?.into_inner().into_parts();
    let receipts = receipts::take(&recorded, &session, global, screen);
    let code = in_force(&document, screen)?;
    receipts.map(|()| code)
}

fn in_force(document: &Document, screen: &mut Screen<'_>) -> Result<u8, HpcError> {
    if screen.format.is_json() {
        screen.document(document)?;
    } else {
        let read: Shown = read_with(document, "hpc.policy/v1", text::block)?;
        screen.text(&shown(&read))?;
    }
    Ok(0)
}

fn show(document: &Document, screen: &mut Screen<'_>) -> Result<(), HpcError> {
    if screen.format.is_json() {
        return screen.document(document);
    }
    screen.text(&report(&read(document, "hpc.policy-candidate/v1")?))
}

fn candidate(paths: &[PathBuf], bundle: Option<&Path>) -> Result<v1::SetCandidateRequest, HpcError> {
    let Some(path) = bundle else {
        let documents = policies(paths)?;
        let bytes = documents.iter().fold(0_usize, |sum, (_, text)| sum.saturating_add(text.len()));
        fits(bytes)?;
        let documents = documents.into_iter().map(|(name, text)| v1::PolicyDocument { name, text });
        return Ok(v1::SetCandidateRequest { documents: documents.collect(), bundle: Vec::new().into() });
    };
    let failed = |error: std::io::Error| unreadable(path, &error);
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(DOCUMENT_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    fits(bytes.len())?;
    Ok(v1::SetCandidateRequest { documents: Vec::new(), bundle: bytes.into() })
}

/// What is larger the daemon would not even read.
fn fits(bytes: usize) -> Result<(), HpcError> {
    if bytes <= DOCUMENT_BYTES_MAX {
        return Ok(());
    }
    let message = format!("a candidate has at most {DOCUMENT_BYTES_MAX} bytes, this one has more");
    Err(HpcError::coded(&codes::USG_TOO_LARGE, message))
}
