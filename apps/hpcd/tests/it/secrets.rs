//! Named secrets: how they get into a data directory, and that they never come out of the program.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use hpc_error::codes;
use hpcd::secrets::{self, Directory, Named, SECRET_BYTES_MAX};
use hpcd::world::{World, WorldOptions};

use crate::options;

const SECRET: &str = "hunter2-hunter2-hunter2";

fn hpcd(args: &[&str], data: &Path, input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_hpcd"))
        .arg("secret")
        .args(args)
        .arg("--data")
        .arg(data)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that refuses its arguments does not read.
    drop(child.stdin.take().unwrap().write_all(input));
    child.wait_with_output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Whether any file below holds the text.
fn holds(path: &Path, text: &str) -> bool {
    std::fs::read_dir(path).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return holds(&path, text);
        }
        std::fs::read(&path).unwrap().windows(text.len()).any(|bytes| bytes == text.as_bytes())
    })
}

#[tokio::test]
async fn a_secret_is_put_by_a_pipe_listed_by_name_and_used_by_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    // Into a directory that is not there yet, which a daemon then goes on with.
    let wrong = hpcd(&["put", "aws/renting"], &data, SECRET.as_bytes());
    assert!(said(&wrong).contains("HPC-USG-0005") && said(&wrong).contains("--create"), "{}", said(&wrong));
    assert!(!data.exists(), "a mistyped path makes no directory");
    let put = hpcd(&["put", "aws/renting", "--create"], &data, SECRET.as_bytes());
    assert!(put.status.success() && said(&put) == "aws/renting version 1\n", "{}", said(&put));
    let world = World::open(WorldOptions { seed: None, ..options(Some(&data)) }).await.unwrap();
    let busy = hpcd(&["put", "aws/renting"], &data, b"other");
    assert!(said(&busy).contains("HPC-DAT-0002"), "{}", said(&busy));
    drop(world);
    assert!(hpcd(&["put", "aws/renting"], &data, b"another").status.success());
    let listed = hpcd(&["list", "--json"], &data, b"");
    let names: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(names, serde_json::json!([{ "name": "aws/renting", "version": 2 }]));
    assert!(!holds(&data, SECRET) && !said(&listed).contains("another"));
    assert!(hpcd(&["delete", "aws/renting"], &data, b"").status.success());
    assert_eq!(secrets::list(&data).await.unwrap(), []);
    let gone = hpcd(&["delete", "aws/renting"], &data, b"");
    assert!(said(&gone).contains("HPC-USG-0012"), "{}", said(&gone));
}

#[tokio::test]
async fn names_reach_no_key_of_the_daemon_and_sizes_have_an_end() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    for name in ["", "../audit/log", "/audit/log", "a b", "a//b", &"n".repeat(200)] {
        let error = secrets::put(&data, Directory::Created, name, b"x").await.unwrap_err();
        assert_eq!(error.registered(), Some(&codes::USG_BAD_ID), "{name}: {error}");
    }
    let error = secrets::put(&data, Directory::Created, "a", b"").await.unwrap_err();
    assert_eq!(error.registered(), Some(&codes::USG_MISSING_FIELD));
    let error =
        secrets::put(&data, Directory::Created, "a", &vec![0; SECRET_BYTES_MAX + 1]).await.unwrap_err();
    assert_eq!(error.registered(), Some(&codes::USG_TOO_LARGE));
    for error in [secrets::list(&data).await.unwrap_err(), secrets::delete(&data, "a").await.unwrap_err()] {
        assert_eq!(error.registered(), Some(&codes::USG_FILE_MISSING), "{error}");
    }
    assert!(!data.exists(), "what is refused makes no directory");
    // A folder that is there and no data directory is left as it is.
    std::fs::create_dir(&data).unwrap();
    for error in [
        secrets::put(&data, Directory::Known, "a", b"x").await.map(drop).unwrap_err(),
        secrets::list(&data).await.map(drop).unwrap_err(),
        secrets::delete(&data, "a").await.unwrap_err(),
    ] {
        assert_eq!(error.registered(), Some(&codes::USG_FILE_MISSING), "{error}");
    }
    assert_eq!(std::fs::read_dir(&data).unwrap().count(), 0);
    secrets::put(&data, Directory::Created, "a", &vec![0; SECRET_BYTES_MAX]).await.unwrap();
    // The daemon's own keys are neither listed nor touched.
    let before = World::open(WorldOptions { seed: None, ..options(Some(&data)) }).await.unwrap();
    let key = before.info("").audit_key;
    drop(before);
    secrets::put(&data, Directory::Known, "audit/log", b"mine").await.unwrap();
    let names: Vec<Named> = secrets::list(&data).await.unwrap();
    assert_eq!(names.iter().map(|named| named.name.as_str()).collect::<Vec<_>>(), ["a", "audit/log"]);
    let after = World::open(WorldOptions { seed: None, ..options(Some(&data)) }).await.unwrap();
    assert_eq!(after.info("").audit_key, key);
}
