use std::path::PathBuf;

/// The text of a file of shared test data; `None`, with a printed reason, when it is not there and this is not CI.
pub(crate) fn shared(path: &str) -> Option<String> {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(path);
    match std::fs::read_to_string(&file) {
        Ok(text) => Some(text),
        Err(error) if std::env::var("CI").as_deref() == Ok("true") => {
            panic!("{path} is needed in CI: {error}")
        }
        Err(error) => {
            println!("skipped: shared test data `{path}` cannot be read: {error}");
            None
        }
    }
}
