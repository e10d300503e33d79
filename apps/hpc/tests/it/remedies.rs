//! Every command that a remedy names exists.

#[test]
fn a_remedy_names_only_commands_that_exist() {
    let tree = hpc::command_tree();
    for code in hpc_error::codes::all() {
        for text in [code.remedy, code.cause] {
            let mut rest = text;
            while let Some(at) = rest.find("hpc ") {
                rest = &rest[at + 4..];
                // "hpc lease show LEASE" names `lease` and `show`; other words are prose or values.
                let words: Vec<&str> = rest.split(|c: char| !c.is_ascii_lowercase() && c != '-').collect();
                let Some(noun) = words.first().filter(|word| !word.is_empty() && !word.starts_with('-'))
                else {
                    continue;
                };
                let found = tree.find_subcommand(noun);
                let found = found.unwrap_or_else(|| panic!("{}: there is no `hpc {noun}`", code.code));
                if found.has_subcommands() {
                    let verb = words.get(1).copied().unwrap_or_default();
                    assert!(
                        found.find_subcommand(verb).is_some(),
                        "{}: there is no `hpc {noun} {verb}`",
                        code.code
                    );
                }
            }
        }
    }
}
