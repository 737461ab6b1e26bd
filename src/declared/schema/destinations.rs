//! The schemas of destinations: what stands in the protocols' own tables, as an editor wants it.

use super::servers::HttpUrl;
use super::texts::{Line, PathText, SizeText};
use super::{DestinationCommon, LocalKeys, Secret, keys_of, with_type};
use crate::declared::{KeyForm, Protocol, ProtocolKey, Span};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};
use std::borrow::Cow;

written_schema!(DestinationChoice, "Destination", |generator| {
    let common = keys_of::<DestinationCommon>(generator);
    let local = keys_of::<LocalKeys>(generator);
    let local = with_type("local", "A folder on this host: a disk, or something mounted.", &common, &local);
    let remote = Protocol::ALL.map(|protocol| {
        with_type(protocol.word(), protocol.title(), &common, &own_keys(protocol, generator))
    });
    let kinds: Vec<Value> = std::iter::once(local).chain(remote).collect();
    json_schema!({ "oneOf": kinds })
});
written_schema!(EncryptionChoice, "Encryption", |generator| {
    let secret = generator.subschema_for::<Secret>();
    let line = generator.subschema_for::<Line>();
    json_schema!({
        "description": "Encryption in the format of age.",
        "type": "object",
        "properties": {
            "type": { "const": "age" },
            "recipients": {
                "description": "For whom: `age1...`, `ssh-ed25519 ...` or `ssh-rsa ...`.",
                "type": "array",
                "items": line,
                "minItems": 1,
            },
            "passphrase": { "description": "A passphrase, in the place of recipients.", "allOf": [secret] },
            "identity": {
                "description": "What opens it again: a reference, or `{ elsewhere: REASON }`.",
                "anyOf": [
                    secret,
                    {
                        "type": "object",
                        "properties": { "elsewhere": line },
                        "required": ["elsewhere"],
                        "additionalProperties": false,
                    },
                ],
            },
        },
        "required": ["type"],
        "oneOf": [{ "required": ["recipients", "identity"] }, { "required": ["passphrase"] }],
        "additionalProperties": false,
    })
});
written_schema!(LayoutText, "Layout", |_| json_schema!({
    "type": "string",
    "description": "Where artifacts lie, with {date}, {time}, {node}, {set}, {member} or {snapshot} in it.",
    "pattern": "^[a-z0-9_-][a-z0-9._-]*/[a-z0-9._{}/-]+$",
    "examples": ["sqlite/{date}/{set}.db.gz"],
}));

/// A protocol's own keys, and those of every remote destination.
fn own_keys(protocol: Protocol, generator: &mut SchemaGenerator) -> Value {
    let mut properties = Map::new();
    for key in protocol.keys() {
        properties.insert(key.name.to_owned(), key_schema(key, generator));
    }
    let mut put = |name: &str, help: &str, schema: Schema| {
        properties.insert(name.to_owned(), json!({ "description": help, "allOf": [schema] }));
    };
    let (size, span) = (generator.subschema_for::<SizeText>(), generator.subschema_for::<Span>());
    put("limit_rate", "Most bytes per second, in each direction. Default: no limit.", size);
    put("timeout", "The longest that a request may make no progress. Default: 60s.", span);
    let count = json_schema!({ "type": "integer", "minimum": 0, "maximum": 20 });
    put("retries", "How often a request that failed for a passing reason is tried again. Default: 4.", count);
    if protocol.is_http() {
        put("proxy", "An HTTP proxy. Default: none.", generator.subschema_for::<HttpUrl>());
    }
    if protocol.has_certificates() {
        let path = generator.subschema_for::<PathText>();
        put(
            "ca",
            "The authority that the server's certificate is checked against. Default: the system's.",
            path,
        );
    }
    let required: Vec<&str> = protocol.keys().iter().filter(|it| it.required).map(|it| it.name).collect();
    json!({ "properties": properties, "required": required })
}

fn key_schema(key: &ProtocolKey, generator: &mut SchemaGenerator) -> Value {
    let schema = match key.form {
        KeyForm::Line | KeyForm::Folder => generator.subschema_for::<Line>().to_value(),
        KeyForm::Url(schemes) => {
            let schemes: Vec<&str> = schemes.iter().map(|it| it.trim_end_matches("://")).collect();
            json!({ "type": "string", "pattern": format!("^({})://[^@\\s/?#]+([/?#]\\S*)?$", schemes.join("|")) })
        }
        KeyForm::Port => json!({ "type": "integer", "minimum": 1, "maximum": 65535 }),
        KeyForm::Flag => json!({ "type": "boolean" }),
        KeyForm::Word(words) => json!({ "enum": words }),
        KeyForm::Secret | KeyForm::Reference => generator.subschema_for::<Secret>().to_value(),
    };
    json!({ "description": key.help, "allOf": [schema] })
}
