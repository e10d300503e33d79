//! `hpc policy diff`: which decisions change between two folders or files of policies. Needs no daemon.

use std::path::Path;

use hpc_error::HpcError;
use hpc_policy::{Coverage, DiffReport, PolicySet, diff_with};

use super::policy::{invalid, load};
use crate::output::Screen;
use crate::render::policy_diff::{gaps, report};
use crate::session::Surroundings;
use crate::text;

/// Seconds without a word after which the command says how far it is.
const SILENCE_SECONDS: i64 = 2;

pub(super) fn run(
    old: &Path,
    new: &Path,
    around: &Surroundings,
    screen: &mut Screen<'_>,
) -> Result<u8, HpcError> {
    let [old, new] = [old, new].map(|path| {
        let documents = load(&[path.to_path_buf()])?;
        PolicySet::parse_documents(documents).map_err(|mistakes| invalid(&mistakes))
    });
    let (old, new) = (old?, new?);
    let mut spoken = (around.now)();
    let found = diff_with(&old, &new, &mut |progress| {
        let now = (around.now)();
        if now.duration_since(spoken).as_secs() >= SILENCE_SECONDS {
            spoken = now;
            let rules = text::count(progress.of as u64, "changed rule", "changed rules");
            let tried = text::count(progress.tried, "combination", "combinations");
            screen.say(&format!("  {} of {rules}, {tried} tried", progress.done));
        }
    });
    if screen.format.is_json() {
        screen.value(&found)?;
    } else {
        screen.text(&report(&found))?;
    }
    say(&found, screen);
    Ok(u8::from(!found.is_empty()))
}

fn say(found: &DiffReport, screen: &mut Screen<'_>) {
    let groups = found.flips.len() + found.flips_omitted;
    let groups = match groups {
        0 => "no decision differs".to_owned(),
        some => text::count(some as u64, "difference", "differences"),
    };
    let rules = format!(
        "{} only in the old policies, {} only in the new",
        text::count(found.only_old as u64, "rule", "rules"),
        found.only_new
    );
    let tried = |tried: u64| text::count(tried, "combination", "combinations");
    match &found.coverage {
        Coverage::Complete { tried: count } => {
            screen.say(&format!("{groups}; {rules}; complete, {} tried", tried(*count)));
        }
        Coverage::Sampled { tried: count, whole, of, gaps: named, gaps_omitted } => {
            let tried = tried(*count);
            screen.say(&format!(
                "{groups}; {rules}; {tried} tried, complete around {whole} of {of} changed rules"
            ));
            screen.say(&gaps(named, *gaps_omitted));
        }
    }
}
