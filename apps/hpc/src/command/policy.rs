//! `hpc policy`: show what is in force; test policies against tables of cases, without a daemon.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use hpc_error::{HpcError, codes};
use hpc_policy::limits::DOCUMENT_BYTES_MAX;
use hpc_policy::{PolicyError, PolicySet, parse_cases, run_cases};
use hpc_types::control::v1;

use crate::args::{Global, Policy};
use crate::output::{BAD, Screen, paint};
use crate::render::policy::{CaseLine, Shown, cases, shown};
use crate::session::{Session, Surroundings, failure, read_with};
use crate::text;

/// Most files that one test reads.
const FILES_MAX: usize = 2_048;
/// Most mistakes that one message names.
const MISTAKES_SHOWN: usize = 10;

pub(super) async fn run(
    command: Policy,
    global: &Global,
    around: &Surroundings,
    screen: &mut Screen<'_>,
) -> Result<u8, HpcError> {
    match command {
        Policy::Show => {
            let session = Session::open(around, global).await?;
            let message = session.call(v1::ShowPolicyRequest { without_documents: false });
            let document = session.policy().show(message).await.map_err(failure)?.into_inner();
            if screen.format.is_json() {
                screen.document(&document)?;
            } else {
                let read: Shown = read_with(&document, "hpc.policy/v1", text::block)?;
                screen.text(&shown(&read))?;
                if let Some(alarm) = read.alarm() {
                    screen.say(&paint(BAD, &alarm));
                }
            }
            Ok(0)
        }
        Policy::Check { paths } => super::policy_check::check(&paths, screen),
        Policy::Bundle(command) => super::policy_bundle::run(command, around, screen),
        Policy::Shadow(command) => super::policy_shadow::run(command, global, around, screen).await,
        Policy::Promote { digest } => super::policy_shadow::promote(digest, global, around, screen).await,
        Policy::Reload => super::policy_shadow::reload(global, around, screen).await,
        Policy::Replay(args) => super::policy_replay::replay(&args, global, around, screen).await,
        Policy::Lint { paths, level } => super::policy_lint::run(&paths, level, screen),
        Policy::Test { paths } => test(&paths, screen),
        Policy::Diff { old, new } => super::policy_diff::run(&old, &new, around, screen),
        Policy::WhoCan { action, resource_type, resource_id, known } => {
            let set = super::policy_ways::policies(&known.paths, global, around).await?;
            super::policy_ways::who(&set, &action, &resource_type, &resource_id, &known.attributes, screen)
        }
        Policy::WhatCan { principal, known, roles, teams, spiffe_id } => {
            let set = super::policy_ways::policies(&known.paths, global, around).await?;
            let principal = super::policy_ways::principal(&principal, roles, teams, spiffe_id)?;
            super::policy_ways::what(&set, &principal, &known.attributes, screen)
        }
    }
}

fn test(paths: &[PathBuf], screen: &mut Screen<'_>) -> Result<u8, HpcError> {
    let files = collect(paths)?;
    let (tables, policies): (Vec<&PathBuf>, Vec<&PathBuf>) = files.iter().partition(|path| is_table(path));
    let mut documents = Vec::new();
    for path in policies {
        documents.push((path.display().to_string(), contents(path)?));
    }
    if documents.is_empty() {
        return Err(HpcError::coded(
            &codes::USG_FILE_MISSING,
            "no policies: name a folder or files that end in .yaml",
        ));
    }
    if tables.is_empty() {
        let message = "no tables of cases: name a folder or files that end in .test.yaml";
        return Err(HpcError::coded(&codes::USG_FILE_MISSING, message));
    }
    let set = PolicySet::parse_documents(documents).map_err(|mistakes| invalid(&mistakes))?;
    let mut lines = Vec::new();
    for path in tables {
        let file = path.display().to_string();
        let table = parse_cases(&contents(path)?).map_err(|error| {
            HpcError::coded(&codes::POL_INVALID, format!("{file}: {error}")).with("path", &file)
        })?;
        lines.extend(run_cases(&set, &table).into_iter().map(|result| CaseLine {
            file: file.clone(),
            line: result.line,
            passed: result.passed(),
            name: text::line(&result.name),
            expected: result.expected.to_string(),
            failure: result.failure.as_deref().map(text::line),
        }));
    }
    if screen.format.is_json() {
        screen.values(&lines)?;
    } else {
        screen.text(&cases(&lines))?;
    }
    let failed = lines.iter().filter(|line| !line.passed).count() as u64;
    let all = text::count(lines.len() as u64, "case", "cases");
    screen.say(&format!("{all}, {failed} failed, {} rules", set.rule_count()));
    Ok(u8::from(failed > 0))
}

/// The policies that the paths stand for, with their names; tables of cases are passed over.
pub(super) fn load(paths: &[PathBuf]) -> Result<Vec<(String, String)>, HpcError> {
    let mut documents = Vec::new();
    for path in collect(paths)?.iter().filter(|path| !is_table(path)) {
        documents.push((path.display().to_string(), contents(path)?));
    }
    if documents.is_empty() {
        let message = "no policies: name a folder or files that end in .yaml";
        return Err(HpcError::coded(&codes::USG_FILE_MISSING, message));
    }
    Ok(documents)
}

/// The mistakes of policies, the first few named.
pub(super) fn invalid(mistakes: &[PolicyError]) -> HpcError {
    let words: Vec<String> = mistakes.iter().take(MISTAKES_SHOWN).map(ToString::to_string).collect();
    let more = mistakes.len().saturating_sub(words.len());
    let rest = if more > 0 { format!("; and {more} more") } else { String::new() };
    HpcError::coded(&codes::POL_INVALID, format!("{}{rest}", words.join("; ")))
}

/// The files that the paths stand for: files as they are, of folders every `.yaml` and `.yml`, sorted.
pub(super) fn collect(paths: &[PathBuf]) -> Result<Vec<PathBuf>, HpcError> {
    let mut files = Vec::new();
    for path in paths {
        let unreadable = |error: std::io::Error| unreadable(path, &error);
        if !std::fs::metadata(path).map_err(unreadable)?.is_dir() {
            files.push(path.clone());
            continue;
        }
        let mut found = Vec::new();
        for entry in std::fs::read_dir(path).map_err(unreadable)? {
            let file = entry.map_err(unreadable)?.path();
            let yaml = file.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
            if yaml && file.is_file() {
                found.push(file);
            }
            if files.len() + found.len() > FILES_MAX {
                let message = format!("`{}`: more than {FILES_MAX} files", path.display());
                return Err(HpcError::coded(&codes::USG_TOO_LARGE, message));
            }
        }
        found.sort();
        files.extend(found);
    }
    Ok(files)
}

/// The policies among the files, under the bare names that a daemon gives them: one set, one digest, here and there.
pub(super) fn policies(paths: &[PathBuf]) -> Result<Vec<(String, String)>, HpcError> {
    let mut documents: Vec<(String, String)> = Vec::new();
    for path in collect(paths)?.iter().filter(|path| !is_table(path)) {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if documents.iter().any(|(known, _)| *known == name) {
            let message = format!("two policies are called `{name}`; a set has each name once");
            return Err(HpcError::coded(&codes::USG_DUPLICATE_KEY, message));
        }
        documents.push((name, contents(path)?));
    }
    if documents.is_empty() {
        let message = "no policies: name a folder or files that end in .yaml";
        return Err(HpcError::coded(&codes::USG_FILE_MISSING, message));
    }
    documents.sort();
    Ok(documents)
}

pub(super) fn is_table(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.ends_with(".test.yaml") || name.ends_with(".test.yml")
}

pub(super) fn contents(path: &Path) -> Result<String, HpcError> {
    let unreadable = |error: std::io::Error| unreadable(path, &error);
    let file = File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(DOCUMENT_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > DOCUMENT_BYTES_MAX {
        let message = format!("`{}` has more than {DOCUMENT_BYTES_MAX} bytes", path.display());
        return Err(HpcError::coded(&codes::USG_TOO_LARGE, message));
    }
    let not_text =
        |_| HpcError::coded(&codes::USG_NOT_TEXT, format!("`{}` is not UTF-8 text", path.display()));
    String::from_utf8(bytes).map_err(not_text)
}

pub(super) fn unreadable(path: &Path, error: &std::io::Error) -> HpcError {
    let code = match error.kind() {
        std::io::ErrorKind::NotFound => &codes::USG_FILE_MISSING,
        _ => &codes::USG_FILE_PERMISSION,
    };
    HpcError::coded(code, format!("`{}`: {error}", path.display())).with("path", path.display())
}
