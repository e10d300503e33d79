use std::collections::BTreeSet;

use hpc_error::codes;

/// Codes of the releases so far. Lines are added at the end of their area and never changed.
const KNOWN: &str = include_str!("codes.txt");

#[test]
fn codes_are_unique_well_formed_and_in_order() {
    let mut seen = BTreeSet::new();
    let mut last = ("", 0);
    let mut areas = Vec::new();
    for entry in codes::all() {
        assert!(seen.insert(entry.code), "{} twice", entry.code);
        let parts: Vec<_> = entry.code.split('-').collect();
        let [prefix, area, number] = parts[..] else { panic!("{}", entry.code) };
        assert_eq!(prefix, "HPC");
        assert!(area.len() == 3 && area.bytes().all(|byte| byte.is_ascii_uppercase()), "{}", entry.code);
        assert!(number.len() == 4, "{}", entry.code);
        let number: u32 = number.parse().unwrap();
        if area == last.0 {
            assert_eq!(number, last.1 + 1, "{}", entry.code);
        } else {
            assert_eq!(number, 1, "{}", entry.code);
            assert!(!areas.contains(&area), "{area} in two places");
            areas.push(area);
        }
        last = (area, number);
        assert_eq!(entry.area(), area);
    }
    assert_eq!(
        areas,
        [
            "USG", "POL", "BUD", "CAP", "QUO", "AUT", "PRC", "PLN", "NET", "DAT", "AUD", "PRV", "DEV", "LSE",
            "INT"
        ]
    );
}

#[test]
fn every_code_has_cause_and_remedy_in_plain_words() {
    for entry in codes::all() {
        for (what, text) in [("title", entry.title), ("cause", entry.cause), ("try", entry.remedy)] {
            assert!(text.len() >= 5 && text.is_ascii(), "{} {what}", entry.code);
            assert!(!text.ends_with('.') && text.trim() == text, "{} {what}", entry.code);
        }
        assert!(entry.title.len() <= 60, "{}", entry.code);
        assert!(
            matches!(entry.exit_code, 1..=11 | 130),
            "{} exits with {}, which the table of exit codes does not have",
            entry.code,
            entry.exit_code
        );
    }
}

#[test]
fn the_reason_on_the_wire_fits_aip_193() {
    for entry in codes::all() {
        let reason = entry.code.replace('-', "_");
        assert!(reason.len() <= 63 && reason.starts_with(|c: char| c.is_ascii_uppercase()));
        assert!(hpc_error::ErrorKind::from_reason(&reason).is_none(), "{reason} is also a kind");
    }
}

#[test]
fn find_forgives_case_and_blanks() {
    assert_eq!(codes::find(" hpc-dev-0001 "), Some(&codes::DEV_NON_LOOPBACK));
    assert_eq!(codes::find("HPC-DEV-9999"), None);
    assert_eq!(codes::find(""), None);
}

#[test]
fn no_code_was_removed_or_changed() {
    let now: BTreeSet<String> = codes::all()
        .iter()
        .map(|entry| {
            format!("{} {} exit {}: {}", entry.code, entry.kind.name(), entry.exit_code, entry.title)
        })
        .collect();
    for line in KNOWN.lines() {
        assert!(now.contains(line), "the registry promised `{line}`");
    }
    let known: BTreeSet<&str> = KNOWN.lines().collect();
    let new: Vec<_> = now.iter().filter(|line| !known.contains(line.as_str())).collect();
    assert!(new.is_empty(), "add to tests/it/codes.txt: {new:#?}");
}

#[test]
fn an_entry_is_json() {
    let json = serde_json::to_value(codes::PLN_EXPIRED).unwrap();
    assert_eq!(json["code"], "HPC-PLN-0001");
    assert_eq!(json["try"], codes::PLN_EXPIRED.remedy);
    assert_eq!(json["exit_code"], 9);
    assert_eq!(json["retry"], "after_fix");
}
