//! `hpc policy check`: every mistake in policies and tables, shown where it stands. Needs no daemon.

use std::path::PathBuf;

use hpc_error::{HpcError, codes};
use hpc_policy::{PolicyError, PolicySet, parse_cases};

use super::policy::{collect, contents, is_table};
use crate::output::Screen;
use crate::render::policy::{Mistake, mistakes};
use crate::text;

pub(super) fn check(paths: &[PathBuf], screen: &mut Screen<'_>) -> Result<u8, HpcError> {
    let files = collect(paths)?;
    if files.is_empty() {
        let message = "no policies: name a folder or files that end in .yaml";
        return Err(HpcError::coded(&codes::USG_FILE_MISSING, message));
    }
    let mut documents = Vec::new();
    let mut found = Vec::new();
    for path in &files {
        let (file, text) = (path.display().to_string(), contents(path)?);
        if !is_table(path) {
            documents.push((file, text));
        } else if let Err(error) = parse_cases(&text) {
            found.push(mistake(&error, &file, &text));
        }
    }
    let mut rules = 0;
    // Tables alone can be checked alone.
    if !documents.is_empty() {
        match PolicySet::parse_documents(documents.iter().map(|(file, text)| (file, text))) {
            Ok(set) => rules = set.rule_count(),
            Err(errors) => found.extend(errors.iter().map(|error| {
                let named = error.location().and_then(|at| at.document.as_deref());
                let document = documents.iter().find(|(file, _)| Some(file.as_str()) == named);
                document.map_or_else(|| mistake(error, "", ""), |(file, text)| mistake(error, file, text))
            })),
        }
    }
    if screen.format.is_json() {
        screen.values(&found)?;
    } else {
        screen.text(&mistakes(&found))?;
    }
    let read = text::count(files.len() as u64, "file", "files");
    let wrong = text::count(found.len() as u64, "mistake", "mistakes");
    screen.say(&format!("{read}, {wrong}, {rules} rules"));
    Ok(u8::from(!found.is_empty()))
}

fn mistake(error: &PolicyError, file: &str, text: &str) -> Mistake {
    let whole = error.to_string();
    let Some(at) = error.location() else {
        return Mistake { file: file.to_owned(), line: 0, column: 0, message: whole, source: String::new() };
    };
    let message = whole.strip_prefix(&format!("{at}: ")).unwrap_or(&whole);
    let source = usize::try_from(at.line).ok().and_then(|line| text.lines().nth(line.saturating_sub(1)));
    Mistake {
        file: file.to_owned(),
        line: at.line,
        column: at.column,
        message: text::line(message),
        source: source.unwrap_or_default().to_owned(),
    }
}
