//! The one JSON form of recorded questions and decisions.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::context::{Attributes, EvaluationContext, Principal, PrincipalKind, Resource};
use crate::decision::Verdict;
use crate::identifier::attribute_problem;
use crate::limits::{
    ATTRIBUTES_MAX, MEMBERSHIPS_MAX, OBLIGATIONS_MAX, RECORDED_REASON_BYTES_MAX, RECORDED_REASONS_MAX,
    VALUE_ITEMS_MAX,
};
use crate::record::{DECISION_FORMAT, QUESTION_FORMAT, QuestionRecord, RecordedDecision};
use crate::value::Value;

/// Most names in `secret`: the attributes of all four maps.
const SECRETS_MAX: usize = 4 * ATTRIBUTES_MAX;
/// Most obligations combined from many rules that a recorded decision may carry.
const COMBINED_MAX: usize = 32 * OBLIGATIONS_MAX;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    format: String,
    principal: Who,
    resource: What,
    action: String,
    #[serde(default, skip_serializing_if = "Values::is_empty")]
    action_attributes: Values,
    #[serde(default, skip_serializing_if = "Values::is_empty")]
    context: Values,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "moment")]
    now: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    secret: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Who {
    r#type: Kind,
    id: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    roles: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    teams: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    spiffe_id: Option<String>,
    #[serde(default, skip_serializing_if = "Values::is_empty")]
    attributes: Values,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    User,
    Service,
    Agent,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct What {
    r#type: String,
    id: String,
    #[serde(default, skip_serializing_if = "Values::is_empty")]
    attributes: Values,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Recorded {
    format: String,
    question: QuestionRecord,
    verdict: Answer,
    digest: String,
    #[serde(default, skip_serializing_if = "Values::is_empty")]
    obligations: Values,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    understood: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Answer {
    Allow,
    Deny,
}

impl Serialize for QuestionRecord {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let context = self.context();
        let principal = context.principal();
        let [(_, of_principal), (_, of_resource), (_, of_action), (_, of_context)] = context.attribute_maps();
        Question {
            format: QUESTION_FORMAT.to_owned(),
            principal: Who {
                r#type: match principal.kind() {
                    PrincipalKind::User => Kind::User,
                    PrincipalKind::Service => Kind::Service,
                    PrincipalKind::Agent => Kind::Agent,
                },
                id: principal.id().to_owned(),
                roles: principal.roles().to_vec(),
                teams: principal.teams().to_vec(),
                spiffe_id: principal.spiffe_id().map(str::to_owned),
                attributes: values(of_principal),
            },
            resource: What {
                r#type: context.resource().resource_type().to_owned(),
                id: context.resource().id().to_owned(),
                attributes: values(of_resource),
            },
            action: context.action().to_owned(),
            action_attributes: values(of_action),
            context: values(of_context),
            now: context.now(),
            secret: self.secrets().to_vec(),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for QuestionRecord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = Question::deserialize(deserializer)?;
        if read.format != QUESTION_FORMAT {
            return Err(D::Error::custom("the question is not in the format `hpc.policy.question/v1`"));
        }
        let kind = match read.principal.r#type {
            Kind::User => PrincipalKind::User,
            Kind::Service => PrincipalKind::Service,
            Kind::Agent => PrincipalKind::Agent,
        };
        if read.principal.roles.len() > MEMBERSHIPS_MAX || read.principal.teams.len() > MEMBERSHIPS_MAX {
            return Err(D::Error::custom("the principal has more than 256 roles or teams"));
        }
        let mut principal = Principal::new(kind, read.principal.id);
        for role in read.principal.roles {
            principal = principal.with_role(role);
        }
        for team in read.principal.teams {
            principal = principal.with_team(team);
        }
        if let Some(spiffe_id) = read.principal.spiffe_id {
            principal = principal.with_spiffe_id(spiffe_id);
        }
        // The setters take a name with or without its root: written with it, it would be another spelling of the same.
        let plain = |root: &str, values: Values| {
            let doubled = format!("{root}.");
            match values.0.keys().find(|name| name.starts_with(&doubled)) {
                Some(_) => Err(D::Error::custom(format!("an attribute's name begins with `{doubled}`"))),
                None => Ok(values.0),
            }
        };
        for (name, value) in plain("principal", read.principal.attributes)? {
            principal = principal.with_attribute(name, value);
        }
        let mut resource = Resource::new(read.resource.r#type, read.resource.id);
        for (name, value) in plain("resource", read.resource.attributes)? {
            resource = resource.with_attribute(name, value);
        }
        let mut context = EvaluationContext::new(principal, resource, read.action);
        for (name, value) in plain("action", read.action_attributes)? {
            context = context.with_action_attribute(name, value);
        }
        for (name, value) in plain("context", read.context)? {
            context = context.with_attribute(name, value);
        }
        if let Some(now) = read.now {
            context = context.with_now(now);
        }
        check_secrets(&read.secret, &context).map_err(D::Error::custom)?;
        Self::from_parts(context, read.secret).map_err(D::Error::custom)
    }
}

/// Secret names are paths of attributes, in order, each once, and none of them has a value beside.
fn check_secrets(secrets: &[String], context: &EvaluationContext) -> Result<(), &'static str> {
    if secrets.len() > SECRETS_MAX {
        return Err("`secret` has more than 1024 names");
    }
    if !secrets.iter().zip(secrets.iter().skip(1)).all(|(one, next)| one < next) {
        return Err("the names in `secret` do not rise; sort them and name each once");
    }
    for path in secrets {
        let Some((root, name)) = path.split_once('.') else { return Err("a name in `secret` has no root") };
        let maps = context.attribute_maps();
        let Some((_, attributes)) = maps.iter().find(|(known, _)| *known == root) else {
            return Err("a name in `secret` is not below principal, resource, action or context");
        };
        if attribute_problem(name).is_some() {
            return Err("a name in `secret` is no attribute's name");
        }
        if attributes.contains_key(name) {
            return Err("a name in `secret` has a value beside; a secret has none");
        }
    }
    Ok(())
}

impl Serialize for RecordedDecision {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Recorded {
            format: DECISION_FORMAT.to_owned(),
            question: self.question.clone(),
            verdict: if self.verdict.is_allowed() { Answer::Allow } else { Answer::Deny },
            digest: self.digest.clone(),
            obligations: Values(self.obligations.clone()),
            understood: self.understood.clone(),
            reasons: self.reasons.clone(),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for RecordedDecision {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = Recorded::deserialize(deserializer)?;
        if read.format != DECISION_FORMAT {
            return Err(D::Error::custom("the decision is not in the format `hpc.policy.decision/v1`"));
        }
        let hexadecimal = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if read.digest.len() != 64 || !read.digest.bytes().all(hexadecimal) {
            return Err(D::Error::custom("the digest is not 64 hexadecimal digits"));
        }
        if read.understood.len() > COMBINED_MAX || read.obligations.0.len() > COMBINED_MAX {
            return Err(D::Error::custom("the decision has more than 1024 obligations"));
        }
        let long = |reason: &String| reason.len() > RECORDED_REASON_BYTES_MAX;
        if read.reasons.len() > RECORDED_REASONS_MAX || read.reasons.iter().any(long) {
            return Err(D::Error::custom("the decision has more than 16 reasons, or one above 512 bytes"));
        }
        Ok(Self {
            question: read.question,
            verdict: match read.verdict {
                Answer::Allow => Verdict::Allow,
                Answer::Deny => Verdict::Deny,
            },
            digest: read.digest,
            obligations: read.obligations.0,
            understood: read.understood,
            reasons: read.reasons,
        })
    }
}

fn values(attributes: &Attributes) -> Values {
    Values(attributes.iter().map(|(name, attribute)| (name.clone(), attribute.value.clone())).collect())
}

/// Names to typed values.
#[derive(Default)]
struct Values(BTreeMap<String, Value>);

impl Values {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Values {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, Typed(value))))
    }
}

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Values;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of attributes")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Values, A::Error> {
                let mut values = BTreeMap::new();
                while let Some((name, Read(value))) = map.next_entry::<String, Read>()? {
                    if values.len() >= COMBINED_MAX {
                        return Err(A::Error::custom("more than 1024 attributes"));
                    }
                    if let Some(problem) = value.problem() {
                        return Err(A::Error::custom(format!("a value {problem}")));
                    }
                    if values.insert(name, value).is_some() {
                        return Err(A::Error::custom("an attribute is given twice; keep one"));
                    }
                }
                Ok(Values(values))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

/// A value with its type: what JSON has no word for is tagged.
struct Typed<'a>(&'a Value);

impl Serialize for Typed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let tagged = |serializer: S, tag: &str, text: String| {
            let mut map = serializer.serialize_map(Some(1))?;
            map.serialize_entry(tag, &text)?;
            map.end()
        };
        match self.0 {
            Value::String(text) => serializer.serialize_str(text),
            Value::Integer(number) => serializer.serialize_i64(*number),
            Value::Bool(flag) => serializer.serialize_bool(*flag),
            Value::Timestamp(at) => tagged(serializer, "timestamp", at.to_string()),
            Value::Ip(address) => tagged(serializer, "ip", address.to_string()),
            Value::List(items) => serializer.collect_seq(items.iter().map(Typed)),
            Value::Opaque => tagged(serializer, "opaque", UNTYPED.to_owned()),
        }
    }
}

/// Reads what [`Typed`] writes.
struct Read(Value);

/// All that is kept of a value without a type: that it was there.
const UNTYPED: &str = "untyped";

impl<'de> Deserialize<'de> for Read {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueReader { lists: true }).map(Self)
    }
}

/// An item of a list, which is no list itself.
struct Scalar(Value);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueReader { lists: false }).map(Self)
    }
}

struct ValueReader {
    lists: bool,
}

impl<'de> Visitor<'de> for ValueReader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.lists {
            "a string, an integer, a boolean, {\"timestamp\": ..}, {\"ip\": ..} or a list of one of them"
        } else {
            "a string, an integer, a boolean, {\"timestamp\": ..} or {\"ip\": ..}"
        })
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Integer(number))
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Value, E> {
        let number = i64::try_from(number).map_err(|_| E::custom("an integer is beyond 64 bits"))?;
        Ok(Value::Integer(number))
    }

    fn visit_bool<E: serde::de::Error>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Bool(flag))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let Some((tag, text)) = map.next_entry::<String, String>()? else {
            return Err(A::Error::custom("an empty object is no value"));
        };
        if map.next_key::<serde::de::IgnoredAny>()?.is_some() {
            return Err(A::Error::custom("a tagged value has one key: `timestamp`, `ip` or `opaque`"));
        }
        match tag.as_str() {
            "timestamp" => moment::parse(&text).map(Value::Timestamp).map_err(A::Error::custom),
            "ip" => {
                let address: std::net::IpAddr =
                    text.parse().map_err(|_| A::Error::custom("`ip` is not an address"))?;
                if address.to_string() != text {
                    return Err(A::Error::custom("`ip` is not in its shortest form"));
                }
                Ok(Value::Ip(address))
            }
            "opaque" if text == UNTYPED => Ok(Value::Opaque),
            _ => Err(A::Error::custom("a tagged value is `timestamp`, `ip` or `opaque`")),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        if !self.lists {
            return Err(A::Error::custom("a list of lists; use one flat list"));
        }
        let mut list = Vec::new();
        while let Some(Scalar(item)) = items.next_element()? {
            if list.len() >= VALUE_ITEMS_MAX {
                return Err(A::Error::custom("a list has more than 1024 items"));
            }
            list.push(item);
        }
        Ok(Value::List(list))
    }
}

/// Times in the one form in which they are written.
mod moment {
    use super::{Deserialize, Deserializer, Serializer, Timestamp};
    use serde::de::Error as _;

    pub(super) fn parse(text: &str) -> Result<Timestamp, &'static str> {
        let at: Timestamp = text.parse().map_err(|_| "a time is not like 2026-11-02T10:00:00Z")?;
        if at.to_string() == text { Ok(at) } else { Err("a time is not in UTC in its shortest form") }
    }

    pub(super) fn serialize<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
        match at {
            Some(at) => serializer.collect_str(at),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Timestamp>, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse(&text).map(Some).map_err(D::Error::custom)
    }
}
