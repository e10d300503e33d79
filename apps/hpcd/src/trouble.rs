//! What goes wrong in the simulated clouds: a story by name, or a file of rules and recordings.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use hpc_error::{HpcError, codes};
use hpc_provider_sim::{
    Notice, PriceRule, PriceSeries, STORIES, Script, SimError, SpotTrace, TRACE_BYTES_MAX, TraceRule, Where,
};
use serde::Deserialize;

/// The file of `--fail`, in YAML, TOML or JSON. Paths in it begin where it is.
///
/// ```yaml
/// script:                      # hpc_provider_sim::Script: rules, quotas, reclaims, reservations, chances, throttle
///   chances: { lost_after_bp: 100 }
/// traces:                      # recorded availability
///   - { at: { kind: spot, zone: use1-az1 }, file: us-east-1a.json, notice: before }
/// prices:                      # recorded prices of one instance for an hour
///   - { at: { kind: spot, instance_type: p5.48xlarge }, file: p5.json }
/// ```
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TroubleFile {
    #[serde(default)]
    script: Script,
    #[serde(default)]
    traces: Vec<TraceFile>,
    #[serde(default)]
    prices: Vec<PriceFile>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TraceFile {
    #[serde(default)]
    at: Where,
    file: PathBuf,
    notice: Notice,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PriceFile {
    #[serde(default)]
    at: Where,
    file: PathBuf,
}

/// The script of a built-in story, or of a file.
///
/// # Errors
/// `HPC-USG-*` for a name that is neither, and for a file that cannot be read or is wrong: with the path.
pub(crate) fn script(story: &str) -> Result<Script, HpcError> {
    if STORIES.contains(&story) {
        return Script::named(story).map_err(|error| bad(story, &error));
    }
    let path = Path::new(story);
    if path.extension().is_none() && !path.exists() {
        let shown: String = story.chars().take(80).collect();
        let message = format!("`{shown}` is neither a file nor one of the stories: {}", STORIES.join(", "));
        return Err(HpcError::coded(&codes::USG_UNKNOWN_VALUE, message));
    }
    let file: TroubleFile = hpc_config::read_document(path)?;
    let below = path.parent().unwrap_or(Path::new(""));
    let mut script = file.script;
    for TraceFile { at, file, notice } in file.traces {
        let trace = recording(&below.join(file), SpotTrace::parse)?;
        script.traces.push(TraceRule { at, trace, notice });
    }
    for PriceFile { at, file } in file.prices {
        let series = recording(&below.join(file), PriceSeries::parse)?;
        script.prices.push(PriceRule { at, series });
    }
    Ok(script)
}

fn recording<T>(path: &Path, parse: impl FnOnce(&str) -> Result<T, SimError>) -> Result<T, HpcError> {
    let shown = path.display().to_string();
    let mut text = String::new();
    // One byte more than is allowed: the parser then says that it is too long.
    let read =
        File::open(path).and_then(|file| file.take(TRACE_BYTES_MAX as u64 + 1).read_to_string(&mut text));
    read.map_err(|error| {
        HpcError::coded(&codes::USG_FILE_MISSING, format!("`{shown}` cannot be read: {error}"))
            .with("path", &shown)
    })?;
    parse(&text).map_err(|error| bad(&shown, &error))
}

fn bad(path: &str, error: &SimError) -> HpcError {
    HpcError::coded(&codes::USG_UNKNOWN_VALUE, format!("`{path}`: {error}")).with("path", path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        files.iter().for_each(|(name, text)| std::fs::write(dir.path().join(name), text).unwrap());
        dir
    }

    fn read(dir: &tempfile::TempDir) -> Result<Script, HpcError> {
        script(dir.path().join("fail.yaml").to_str().unwrap())
    }

    #[test]
    fn a_file_brings_rules_and_recordings() {
        let text = "script: { chances: { lost_after_bp: 100 } }\n\
                    traces: [{ at: { kind: spot }, file: trace.json, notice: never }]\n\
                    prices: [{ file: prices.json }]\n";
        let dir = folder(&[
            ("fail.yaml", text),
            ("trace.json", r#"{"metadata":{"gap_seconds":60},"data":[1,0]}"#),
            ("prices.json", r#"{"metadata":{"gap_seconds":60},"data":["1.25 USD"]}"#),
        ]);
        let script = read(&dir).unwrap();
        assert_eq!(script.chances.lost_after_bp, 100);
        assert_eq!((script.traces[0].trace.ticks(), script.prices[0].series.ticks()), (2, 1));
        assert_eq!(super::script("stock-out").unwrap(), Script::named("stock-out").unwrap());
    }

    #[test]
    fn the_example_is_valid() {
        let script = script("../../examples/trouble/fail.yaml").unwrap();
        assert_eq!((script.rules.len(), script.traces.len(), script.prices.len()), (1, 1, 1));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = script("everything").unwrap_err();
        assert!(error.to_string().contains("lost-answer"), "{error}");
        for (text, why) in [
            ("traces: [{ file: gone.json, notice: never }]", "gone.json"),
            ("prices: [{ file: bad.json }]", "tick 0"),
            ("prices: [{ file: bad.json, unit: gpu }]", "unit"),
            ("surprise: 1", "surprise"),
        ] {
            let dir = folder(&[
                ("fail.yaml", text),
                ("bad.json", r#"{"metadata":{"gap_seconds":60},"data":["0 USD"]}"#),
            ]);
            let error = read(&dir).unwrap_err();
            assert!(error.to_string().contains(why), "{text}: {error}");
            assert!(error.code_text().is_some_and(|code| code.starts_with("HPC-USG")), "{text}: {error:?}");
        }
        assert!(script("/nowhere/fail.yaml").is_err());
    }
}
