use std::str::FromStr;

use super::{
    Group, Member, NONE, Octets, POLICY_BYTES_MAX, POLICY_GROUPS_MAX, POLICY_LOGS_MAX, POLICY_NAME_BYTES_MAX,
    POLICY_URL_BYTES_MAX, POLICY_WITNESSES_MAX, PolicyLog, PolicyWitness, TlogPolicy,
};
use crate::CryptoError;

impl TlogPolicy {
    /// Reads a policy.
    ///
    /// # Errors
    /// Only [`CryptoError::InvalidTlogPolicy`], with the line; line 0 stands for the file as a whole.
    pub fn parse(text: &[u8]) -> Result<Self, CryptoError> {
        if text.len() > POLICY_BYTES_MAX {
            return Err(at_line(0, format!("{} bytes, at most {POLICY_BYTES_MAX} are read", text.len())));
        }
        let mut reader = Reader::default();
        let mut rest = text;
        while !rest.is_empty() {
            reader.line += 1;
            let Some(end) = rest.iter().position(|octet| *octet == b'\n') else {
                return Err(
                    reader.error("the last line does not end in a newline: the file may have been cut")
                );
            };
            let (line, after) = rest.split_at(end);
            rest = after.get(1..).unwrap_or_default();
            reader.read(line)?;
        }
        let Some(quorum) = reader.quorum else {
            return Err(at_line(0, "no `quorum` line: write `quorum none` to ask for no witness".to_owned()));
        };
        let policy = reader.policy;
        Ok(Self { quorum, ..policy })
    }
}

impl FromStr for TlogPolicy {
    type Err = CryptoError;

    /// As [`TlogPolicy::parse`].
    fn from_str(text: &str) -> Result<Self, CryptoError> {
        Self::parse(text.as_bytes())
    }
}

fn at_line(line: usize, reason: String) -> CryptoError {
    CryptoError::InvalidTlogPolicy { line, reason }
}

/// What has been read so far.
struct Reader {
    line: usize,
    policy: TlogPolicy,
    quorum: Option<Option<Member>>,
    // Members of any group so far.
    taken: Vec<Member>,
}

impl Default for Reader {
    fn default() -> Self {
        let policy = TlogPolicy { logs: Vec::new(), witnesses: Vec::new(), groups: Vec::new(), quorum: None };
        Self { line: 0, policy, quorum: None, taken: Vec::new() }
    }
}

impl Reader {
    fn error(&self, reason: impl Into<String>) -> CryptoError {
        at_line(self.line, reason.into())
    }

    fn read(&mut self, line: &[u8]) -> Result<(), CryptoError> {
        if line.iter().any(|octet| (*octet < 0x20 && *octet != b'\t') || *octet == 0x7f) {
            return Err(
                self.error("a control character other than tab and newline: lines end in a newline alone")
            );
        }
        let items: Vec<&[u8]> =
            line.split(|octet| matches!(octet, b' ' | b'\t')).filter(|item| !item.is_empty()).collect();
        match items.as_slice() {
            [] => Ok(()),
            [first, ..] if first.starts_with(b"#") => Ok(()),
            [b"log", key] => self.log(key, None),
            [b"log", key, url] => self.log(key, Some(url)),
            [b"log", ..] => Err(self.error("expected `log <vkey> [<url>]`")),
            [b"witness", name, key] => self.witness(name, key, None),
            [b"witness", name, key, url] => self.witness(name, key, Some(url)),
            [b"witness", ..] => Err(self.error("expected `witness <name> <vkey> [<url>]`")),
            [b"group", name, needed, members @ ..] if !members.is_empty() => {
                self.group(name, needed, members)
            }
            [b"group", ..] => Err(self.error("expected `group <name> all|any|<k> <name>...`")),
            [b"quorum", name] => self.quorum(name),
            [b"quorum", ..] => Err(self.error("expected `quorum <name>` or `quorum none`")),
            [other, ..] => {
                Err(self
                    .error(format!("`{}` is not one of `log`, `witness`, `group`, `quorum`", shown(other))))
            }
        }
    }

    fn log(&mut self, key: &[u8], url: Option<&[u8]>) -> Result<(), CryptoError> {
        let log = PolicyLog { key: self.key(key)?, url: self.url(url)? };
        if self.policy.logs.len() >= POLICY_LOGS_MAX {
            return Err(self.error(format!("more than {POLICY_LOGS_MAX} logs")));
        }
        if let Some(known) =
            self.policy.logs.iter().find(|known| known.key.public_key() == log.key.public_key())
        {
            return Err(self.error(format!("the key is that of the log `{}` above", known.key.name())));
        }
        self.policy.logs.push(log);
        Ok(())
    }

    fn witness(&mut self, name: &[u8], key: &[u8], url: Option<&[u8]>) -> Result<(), CryptoError> {
        let witness = PolicyWitness { name: self.new_name(name)?, key: self.key(key)?, url: self.url(url)? };
        let known = &self.policy.witnesses;
        if known.len() >= POLICY_WITNESSES_MAX {
            return Err(self.error(format!("more than {POLICY_WITNESSES_MAX} witnesses")));
        }
        if let Some(known) = known.iter().find(|known| known.key.public_key() == witness.key.public_key()) {
            return Err(self.error(format!("the key is that of the witness `{}` above", known.name)));
        }
        self.policy.witnesses.push(witness);
        Ok(())
    }

    fn group(&mut self, name: &[u8], needed: &[u8], members: &[&[u8]]) -> Result<(), CryptoError> {
        let name = self.new_name(name)?;
        if self.policy.groups.len() >= POLICY_GROUPS_MAX {
            return Err(self.error(format!("more than {POLICY_GROUPS_MAX} groups")));
        }
        let needed = match needed {
            b"all" => members.len(),
            b"any" => 1,
            number => number_of(number).filter(|k| (1..=members.len()).contains(k)).ok_or_else(|| {
                self.error(format!(
                    "`{}` is not `all`, `any` or a number from 1 to {}, the count of members",
                    shown(number),
                    members.len()
                ))
            })?,
        };
        let mut found = Vec::new();
        for member in members {
            if *member == NONE {
                return Err(self.error("`none` cannot be a member of a group"));
            }
            let known = self.find(member)?;
            if self.taken.contains(&known) {
                return Err(self.error(format!("`{}` is a member of a group already", shown(member))));
            }
            self.taken.push(known);
            found.push(known);
        }
        self.policy.groups.push(Group { name, needed, members: found });
        Ok(())
    }

    fn quorum(&mut self, name: &[u8]) -> Result<(), CryptoError> {
        if self.quorum.is_some() {
            return Err(self.error("a second `quorum` line"));
        }
        self.quorum = Some(if name == NONE { None } else { Some(self.find(name)?) });
        Ok(())
    }

    fn key<K: FromStr<Err = CryptoError>>(&self, text: &[u8]) -> Result<K, CryptoError> {
        let text = std::str::from_utf8(text).map_err(|_| self.error("the key is not UTF-8"))?;
        text.parse().map_err(|error: CryptoError| self.error(error.to_string()))
    }

    fn url(&self, url: Option<&[u8]>) -> Result<Option<Octets>, CryptoError> {
        match url {
            Some(url) if url.len() > POLICY_URL_BYTES_MAX => {
                Err(self.error(format!("a URL of more than {POLICY_URL_BYTES_MAX} bytes")))
            }
            url => Ok(url.map(|url| Octets(url.to_vec()))),
        }
    }

    fn new_name(&self, name: &[u8]) -> Result<Octets, CryptoError> {
        if name.len() > POLICY_NAME_BYTES_MAX {
            return Err(self.error(format!("a name of more than {POLICY_NAME_BYTES_MAX} bytes")));
        }
        if name == NONE {
            return Err(self.error("`none` has a meaning of its own: take another name"));
        }
        match self.position(name) {
            Some(_) => Err(self.error(format!("the name `{}` is taken above", shown(name)))),
            None => Ok(Octets(name.to_vec())),
        }
    }

    fn find(&self, name: &[u8]) -> Result<Member, CryptoError> {
        self.position(name).ok_or_else(|| {
            self.error(format!("no witness or group `{}` is defined above this line", shown(name)))
        })
    }

    fn position(&self, name: &[u8]) -> Option<Member> {
        let witness = self.policy.witnesses.iter().position(|known| known.name.0 == name);
        let group = || self.policy.groups.iter().position(|known| known.name.0 == name);
        witness.map(Member::Witness).or_else(|| group().map(Member::Group))
    }
}

/// A number in canonical decimal form.
fn number_of(text: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(text).ok()?;
    let number: usize = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

/// The beginning of a foreign item, for a message.
fn shown(item: &[u8]) -> String {
    crate::error::shown(&String::from_utf8_lossy(item))
}
