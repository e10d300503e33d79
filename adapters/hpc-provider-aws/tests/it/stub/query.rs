//! The parameters of a query request.

use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Query(pub(crate) BTreeMap<String, String>);

impl Query {
    pub(crate) fn parse(body: &str) -> Self {
        let pairs = body.split('&').filter_map(|pair| pair.split_once('='));
        Self(pairs.map(|(name, value)| (decode(name), decode(value))).collect())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(crate) fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    /// `Name.1`, `Name.2` and so on.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        (1..).map_while(|n| self.get(&format!("{name}.{n}")).map(str::to_owned)).collect()
    }

    pub(crate) fn filters(&self) -> Vec<(String, Vec<String>)> {
        (1..)
            .map_while(|n| {
                let name = self.get(&format!("Filter.{n}.Name"))?.to_owned();
                Some((name, self.list(&format!("Filter.{n}.Value"))))
            })
            .collect()
    }

    /// The tags of one kind of resource.
    pub(crate) fn tags(&self, resource: &str) -> BTreeMap<String, String> {
        let at = |n: usize| format!("TagSpecification.{n}");
        let of = (1..)
            .take_while(|n| self.get(&format!("{}.ResourceType", at(*n))).is_some())
            .find(|n| self.text(&format!("{}.ResourceType", at(*n))) == resource);
        let Some(of) = of else { return BTreeMap::new() };
        (1..)
            .map_while(|n| {
                let key = self.get(&format!("{}.Tag.{n}.Key", at(of)))?;
                Some((key.to_owned(), self.text(&format!("{}.Tag.{n}.Value", at(of))).to_owned()))
            })
            .collect()
    }
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let hex = [rest.next().unwrap(), rest.next().unwrap()];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap());
            }
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).unwrap()
}
