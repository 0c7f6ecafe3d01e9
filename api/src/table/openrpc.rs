//! The document that `rpc.discover` answers, made of the table.
//!
//! It is an OpenRPC 1.3 document, committed as `api/openrpc.json`; a test holds the two equal.

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::{COMMON_ERRORS, MethodSpec, TABLE};
use crate::error::{ErrorCode, ErrorData};
use crate::types::{API_MAJOR, API_MINOR, EventNotification};

/// Describes the whole interface as an OpenRPC document.
///
/// Names are in a fixed order, so equal interfaces give equal texts.
#[must_use]
pub fn document() -> Map<String, Value> {
    let settings = SchemaSettings::draft07().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
    });
    let mut generator = settings.into_generator();
    let methods: Vec<Value> = TABLE
        .iter()
        .map(|spec| method(spec, &mut generator))
        .collect();
    let notification = generator.subschema_for::<EventNotification>();
    let error_data = generator.subschema_for::<ErrorData>();
    let schemas = generator.take_definitions(true);
    let errors: Map<String, Value> = ErrorCode::ALL
        .iter()
        .map(|code| (code.kind().to_owned(), error(*code)))
        .collect();

    let mut document = Map::new();
    document.insert("openrpc".to_owned(), json!("1.3.2"));
    document.insert(
        "info".to_owned(),
        json!({
            "title": "Hermes",
            "description": "JSON-RPC 2.0 of hermesd, newline-delimited or over HTTP and WebSocket, on a local socket. \
                Parameters are named; unknown ones are refused.",
            "version": format!("{API_MAJOR}.{API_MINOR}"),
            "license": { "name": "MIT OR Apache-2.0" },
        }),
    );
    document.insert("methods".to_owned(), Value::Array(methods));
    document.insert(
        "components".to_owned(),
        json!({ "schemas": schemas, "errors": errors }),
    );
    document.insert(
        "x-notifications".to_owned(),
        json!({ "event": notification }),
    );
    document.insert("x-error-data".to_owned(), error_data.to_value());
    document
}

fn method(spec: &MethodSpec, generator: &mut SchemaGenerator) -> Value {
    let result = (spec.result)(generator);
    let errors: Vec<Value> = COMMON_ERRORS
        .iter()
        .chain(spec.errors)
        .map(|code| json!({ "$ref": format!("#/components/errors/{}", code.kind()) }))
        .collect();
    json!({
        "name": spec.name,
        "summary": spec.summary,
        "paramStructure": "by-name",
        "params": params(spec, generator),
        "result": { "name": "result", "schema": result },
        "errors": errors,
        "x-access": spec.access.as_str(),
        "x-since": spec.since,
    })
}

/// OpenRPC wants a list of named parameters where we have one object of fields.
fn params(spec: &MethodSpec, generator: &mut SchemaGenerator) -> Vec<Value> {
    let schema = (spec.params)(generator).to_value();
    let required = |name: &str| {
        let names = schema.get("required").and_then(Value::as_array);
        names.is_some_and(|names| names.iter().any(|required| required == name))
    };
    let fields = schema.get("properties").and_then(Value::as_object);
    let mut params: Vec<Value> = fields
        .into_iter()
        .flatten()
        .map(|(name, schema)| json!({ "name": name, "required": required(name), "schema": schema }))
        .collect();
    // The specification wants those that may be left out to come last; the sort is stable.
    params.sort_by_key(|param| param["required"] == Value::Bool(false));
    params
}

fn error(code: ErrorCode) -> Value {
    json!({
        "code": code.code(),
        "message": code.summary(),
        "data": { "kind": code.kind() },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMITTED: &str = include_str!("../../openrpc.json");

    #[test]
    fn the_committed_document_is_current() {
        let mut current = serde_json::to_string_pretty(&document()).expect("json");
        current.push('\n');
        assert!(
            current == COMMITTED,
            "api/openrpc.json is stale; write it anew with: cargo run -p hermes-api --example openrpc > api/openrpc.json"
        );
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = Value::Object(document());
        let mut references = Vec::new();
        collect_references(&document, &mut references);
        assert!(references.len() > TABLE.len());
        for reference in references {
            let pointer = reference.strip_prefix('#').expect("a local reference");
            assert!(
                document.pointer(pointer).is_some(),
                "{reference} leads nowhere"
            );
        }
    }

    fn collect_references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                found.extend(
                    fields
                        .get("$ref")
                        .and_then(Value::as_str)
                        .map(str::to_owned),
                );
                fields
                    .values()
                    .for_each(|field| collect_references(field, found));
            }
            Value::Array(items) => items
                .iter()
                .for_each(|item| collect_references(item, found)),
            _ => {}
        }
    }

    #[test]
    fn send_is_described_with_its_fields() {
        let document = document();
        let methods = document["methods"].as_array().expect("methods");
        let send = methods
            .iter()
            .find(|method| method["name"] == "message.send")
            .expect("send");
        let names: Vec<&str> = send["params"]
            .as_array()
            .expect("params")
            .iter()
            .filter_map(|param| param["name"].as_str())
            .collect();
        assert_eq!(
            names,
            [
                "body",
                "to",
                "expires_in_s",
                "idempotency_key",
                "timeout_ms",
                "wait"
            ]
        );
    }
}
