//! `hpc policy bundle`: keys in files of their own, bundles that verify, and every way in which one does not.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::fake::{Outcome, hpc};

const POLICY: &str = "\
apiVersion: policy.horizon.dev/v1
kind: Policy
metadata: {name: small}
spec:
  principals: [{type: any}]
  resources: [{type: gpu, pattern: 'gpu/*'}]
  actions: [capacity.request]
  effect: allow
";

/// A folder with a policy, a table of cases, a key and its public half.
struct Author(tempfile::TempDir);

impl Author {
    fn new() -> Self {
        let author = Self(tempfile::tempdir().unwrap());
        std::fs::create_dir(author.at("policies")).unwrap();
        std::fs::write(author.at("policies/small.yaml"), POLICY).unwrap();
        std::fs::write(author.at("policies/small.test.yaml"), "no policy").unwrap();
        let made = author.bundle(&["keygen", "policies.example.org", "--out"], &["author.key"]);
        assert_eq!(made.code, 0, "{}", made.err);
        std::fs::write(author.at("author.pub"), format!("# the author\n\n{}", made.out)).unwrap();
        author
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs `hpc policy bundle` with `args`, then the names of `files` in the folder.
    fn bundle(&self, args: &[&str], files: &[&str]) -> Outcome {
        let files: Vec<String> = files.iter().map(|name| self.at(name).display().to_string()).collect();
        let files: Vec<&str> = files.iter().map(String::as_str).collect();
        hpc(self.0.path(), &[&["policy", "bundle"], args, &files].concat())
    }

    fn create(&self, out: &str, how: &[&str]) -> Outcome {
        let at = |name: &str| self.at(name).display().to_string();
        let (policies, key, out) = (at("policies"), at("author.key"), at(out));
        let args =
            [&["create", policies.as_str(), "--key", key.as_str(), "--out", out.as_str()], how].concat();
        self.bundle(&args, &[])
    }

    fn first(&self) -> Outcome {
        self.create("1.bundle", &["--name", "production", "--sequence", "1"])
    }

    fn verify(&self, file: &str, more: &[&str]) -> Outcome {
        let (file, key) = (self.at(file).display().to_string(), self.at("author.pub").display().to_string());
        self.bundle(&[&["verify", file.as_str(), "--key", key.as_str()], more].concat(), &[])
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_key_is_private_and_is_never_written_over_or_shown() {
    let author = Author::new();
    let key = std::fs::read_to_string(author.at("author.key")).unwrap();
    assert_eq!(mode(&author.at("author.key")), 0o600);
    assert!(key.starts_with("PRIVATE+KEY+policies.example.org+"), "{}", key.len());
    let again = author.bundle(&["keygen", "policies.example.org", "--out"], &["author.key"]);
    assert!(again.code == 2 && again.err.contains("is there already"), "{}", again.err);
    assert_eq!(std::fs::read_to_string(author.at("author.key")).unwrap(), key);
    let bad = author.bundle(&["keygen", "a name+", "--out"], &["other.key"]);
    assert!(
        bad.code == 2 && bad.err.contains("HPC-USG-0012") && !author.at("other.key").exists(),
        "{}",
        bad.err
    );

    // A key that others may read is not used; one that was changed is named, its content is not.
    std::fs::set_permissions(author.at("author.key"), std::fs::Permissions::from_mode(0o640)).unwrap();
    let open = author.first();
    assert!(open.code == 2 && open.err.contains("HPC-USG-0006") && open.err.contains("0640"), "{}", open.err);
    std::fs::set_permissions(author.at("author.key"), std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::write(author.at("author.key"), key.replacen("policies", "policiez", 1)).unwrap();
    let changed = author.first();
    assert!(changed.code == 2 && changed.err.contains("the id does not fit"), "{}", changed.err);
    let secret = key.trim_end().splitn(5, '+').last().unwrap();
    assert!(!changed.err.contains(&secret[..8]));
    // A private key where public ones belong is refused and not repeated.
    std::fs::write(author.at("author.pub"), &key).unwrap();
    std::fs::write(author.at("author.key"), &key).unwrap();
    assert_eq!(author.first().code, 0);
    let swapped = author.verify("1.bundle", &[]);
    assert!(swapped.code == 2 && swapped.err.contains("line 1 is no public key"), "{}", swapped.err);
    assert!(!swapped.err.contains(&secret[..8]));
}

#[test]
fn a_bundle_says_what_is_in_it_and_the_next_one_counts_up() {
    let author = Author::new();
    let made = author.first();
    assert_eq!((made.code, made.err.as_str()), (0, ""));
    let verified = author.verify("1.bundle", &[]);
    assert_eq!((verified.code, &verified.out), (0, &made.out));
    let document = format!("  document  small.yaml, {} bytes\n", POLICY.len());
    for line in ["  name      production\n", "  sequence  1\n", "  rules     1\n", &document] {
        assert!(verified.out.contains(line), "{line}: {}", verified.out);
    }
    assert!(verified.out.contains("  signer    policies.example.org (key "), "{}", verified.out);
    let json = author.verify("1.bundle", &["-o", "json"]);
    let read: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!((&read["sequence"], &read["documents"][0]["name"]), (&1.into(), &"small.yaml".into()));

    let first = author.at("1.bundle").display().to_string();
    let second = author.create("2.bundle", &["--after", &first]);
    assert!(second.code == 0 && second.out.contains("  sequence  2\n"), "{} {}", second.out, second.err);
    let second = author.at("2.bundle").display().to_string();
    assert_eq!(author.verify("2.bundle", &["--after", &first]).code, 0);
    let older = author.verify("1.bundle", &["--after", &second]);
    assert!(older.code == 1 && older.err.contains("HPC-POL-0012") && older.out.is_empty(), "{}", older.err);
    assert!(older.err.contains("number 2 was taken already"), "{}", older.err);
    let other = author.create("3.bundle", &["--after", &second, "--name", "staging"]);
    assert!(
        other.code == 1 && other.err.contains("HPC-POL-0012") && !author.at("3.bundle").exists(),
        "{}",
        other.err
    );
    let over = author.first();
    assert!(over.code == 2 && over.err.contains("is there already"), "{}", over.err);
}

#[test]
fn any_changed_byte_is_refused_with_a_reason() {
    let author = Author::new();
    assert_eq!(author.first().code, 0);
    let whole = std::fs::read(author.at("1.bundle")).unwrap();
    for position in (0..whole.len()).step_by(11) {
        let mut changed = whole.clone();
        changed[position] ^= 1;
        std::fs::write(author.at("changed.bundle"), changed).unwrap();
        let refused = author.verify("changed.bundle", &[]);
        assert!(refused.code == 1 && refused.out.is_empty(), "byte {position}: {}", refused.out);
        let named = refused.err.contains("HPC-POL-0010") || refused.err.contains("HPC-POL-0011");
        assert!(named, "byte {position}: {}", refused.err);
    }
    std::fs::write(author.at("changed.bundle"), &whole[..whole.len() - 1]).unwrap();
    let cut = author.verify("changed.bundle", &[]);
    assert!(cut.code == 1 && cut.err.contains("ends within the document `small.yaml`"), "{}", cut.err);
}

#[test]
fn another_authors_bundle_and_bad_policies_are_refused() {
    let (author, other) = (Author::new(), Author::new());
    assert_eq!(other.first().code, 0);
    std::fs::copy(other.at("1.bundle"), author.at("1.bundle")).unwrap();
    let foreign = author.verify("1.bundle", &[]);
    assert!(foreign.code == 1 && foreign.err.contains("HPC-POL-0011"), "{}", foreign.err);
    let first = author.at("1.bundle").display().to_string();
    let after = author.create("2.bundle", &["--after", &first]);
    assert!(after.code == 1 && after.err.contains("HPC-POL-0011"), "{}", after.err);
    std::fs::write(author.at("policies/small.yaml"), POLICY.replace("effect: allow", "effect: alow"))
        .unwrap();
    let bad = author.create("3.bundle", &["--name", "production", "--sequence", "1"]);
    assert!(
        bad.code == 2 && bad.err.contains("HPC-POL-0004") && !author.at("3.bundle").exists(),
        "{}",
        bad.err
    );
    let nothing = author.create("4.bundle", &["--name", "production"]);
    assert_eq!(nothing.code, 2, "a number or the bundle before is needed");
}
