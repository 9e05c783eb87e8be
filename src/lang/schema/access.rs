//! May an expression ask a value of this schema for this name? Lenient: of several schemas of which one may hold, one that
//! allows the name is enough.

use crate::base::Json;
use crate::base::json::JsonMap;
use crate::base::limits::{PLUGIN_SCHEMA_DEPTH, PLUGIN_SCHEMA_NODES};

/// One step into a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access<'a> {
    /// `.name`, `['name']`.
    Name(&'a str),
    /// `[0]`, `.0`.
    Index(usize),
    /// `[…]`: some name or index.
    Some,
}

/// An access that leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nowhere<'s> {
    /// Which of the accesses.
    pub index: usize,
    pub why: Why<'s>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why<'s> {
    /// There are these names and no others.
    Closed(Vec<&'s str>),
    /// These names are listed; there may be others.
    Unlisted(Vec<&'s str>),
    /// A value of these JSON types has no such parts.
    Plain(Vec<&'s str>),
}

/// Follows `path` through values of `schema`; an error is the first access that leads nowhere.
pub fn follow<'s>(schema: &'s Json, path: &[Access<'_>]) -> Result<(), Nowhere<'s>> {
    walk(schema, path).map(|_| ())
}

/// The JSON types that what `path` leads to may have; None: any.
pub fn types<'s>(schema: &'s Json, path: &[Access<'_>]) -> Option<Vec<&'s str>> {
    let mut left = PLUGIN_SCHEMA_NODES;
    match walk(schema, path) {
        Ok(Some(place)) => types_of(schema, &place, &mut left, 0),
        _ => None,
    }
}

/// The schema of any value.
static ANYTHING: Json = Json::Bool(true);

/// What is known of a value.
#[derive(Clone, Debug)]
enum Place<'s> {
    /// It fits this schema.
    One(&'s Json),
    /// It fits all of them.
    All(Vec<Place<'s>>),
    /// It fits one of them.
    Any(Vec<Place<'s>>),
}

/// What is known of a part of it.
#[derive(Debug)]
enum Look<'s> {
    Next(Place<'s>),
    /// There may be one, and nothing is known of it.
    Open,
    Not(Why<'s>),
}

/// The place that `path` leads to; None: somewhere of which nothing is known.
fn walk<'s>(root: &'s Json, path: &[Access<'_>]) -> Result<Option<Place<'s>>, Nowhere<'s>> {
    let mut place = Place::One(root);
    let mut left = PLUGIN_SCHEMA_NODES;
    for (index, access) in path.iter().enumerate() {
        match look(root, &place, *access, &mut left, 0) {
            Look::Next(next) => place = next,
            Look::Open => return Ok(None),
            Look::Not(why) => return Err(Nowhere { index, why }),
        }
    }
    Ok(Some(place))
}

fn look<'s>(root: &'s Json, place: &Place<'s>, access: Access<'_>, left: &mut usize, depth: usize) -> Look<'s> {
    if *left == 0 || depth > PLUGIN_SCHEMA_DEPTH {
        return Look::Open;
    }
    *left -= 1;
    match place {
        Place::One(schema) => one(root, schema, access, left, depth),
        Place::All(places) => {
            let looks = places.iter().map(|place| look(root, place, access, left, depth + 1)).collect();
            all(looks)
        }
        Place::Any(places) => {
            let looks = places.iter().map(|place| look(root, place, access, left, depth + 1)).collect();
            any(looks)
        }
    }
}

fn one<'s>(root: &'s Json, schema: &'s Json, access: Access<'_>, left: &mut usize, depth: usize) -> Look<'s> {
    let Json::Object(map) = schema else {
        return if schema == &Json::Bool(false) { Look::Not(Why::Closed(Vec::new())) } else { Look::Open };
    };
    let mut looks = Vec::new();
    let own = listed_types(schema);
    let has_parts = |name: &&str| match access {
        Access::Name(_) => *name == "object",
        // Nobody counts on the parts of a text, but they are there.
        Access::Index(_) | Access::Some => matches!(*name, "object" | "array" | "string"),
    };
    if let Some(own) = own.filter(|own| !own.iter().any(has_parts)) {
        return Look::Not(Why::Plain(own));
    }
    match access {
        Access::Name(name) => looks.push(property(map, name)),
        Access::Index(index) => looks.extend(item(map, index).map(|next| Look::Next(Place::One(next)))),
        Access::Some => {
            let parts = ["items", "additionalProperties"].into_iter().filter_map(|key| map.get(key));
            let several = ["prefixItems", "properties", "patternProperties"].into_iter().filter_map(|key| map.get(key));
            let each = several.flat_map(|parts| match parts {
                Json::Array(items) => items.iter().collect::<Vec<_>>(),
                Json::Object(map) => map.values().collect(),
                _ => Vec::new(),
            });
            let places: Vec<_> = parts.chain(each).filter(|part| **part != Json::Bool(false)).map(Place::One).collect();
            // What is not listed may be anything.
            let is_closed = map.contains_key("items") || map.contains_key("additionalProperties");
            looks.push(if is_closed && !places.is_empty() { Look::Next(Place::Any(places)) } else { Look::Open });
        }
    }
    if let Some(target) = map.get("$ref").and_then(Json::as_str).and_then(|to| root.pointer(to.strip_prefix('#')?)) {
        looks.push(look(root, &Place::One(target), access, left, depth + 1));
    }
    let schemas = |key: &str| map.get(key).and_then(Json::as_array).into_iter().flatten().map(Place::One);
    let together = schemas("allOf").collect::<Vec<_>>();
    looks.extend(together.iter().map(|place| look(root, place, access, left, depth + 1)));
    for key in ["anyOf", "oneOf"] {
        let either: Vec<_> = schemas(key).collect();
        if !either.is_empty() {
            looks.push(look(root, &Place::Any(either), access, left, depth + 1));
        }
    }
    if map.contains_key("if") {
        let branch = |key: &str| Place::One(map.get(key).unwrap_or(&ANYTHING));
        looks.push(look(root, &Place::Any(vec![branch("then"), branch("else")]), access, left, depth + 1));
    }
    for dependent in map.get("dependentSchemas").and_then(Json::as_object).into_iter().flat_map(|map| map.values()) {
        looks.push(look(
            root,
            &Place::Any(vec![Place::One(dependent), Place::One(&ANYTHING)]),
            access,
            left,
            depth + 1,
        ));
    }
    all(looks)
}

/// A property by the keywords that list them.
fn property<'s>(map: &'s JsonMap, name: &str) -> Look<'s> {
    let properties = map.get("properties").and_then(Json::as_object);
    if let Some(schema) = properties.and_then(|properties| properties.get(name)) {
        return match schema {
            Json::Bool(false) => Look::Not(Why::Closed(listed(properties))),
            schema => Look::Next(Place::One(schema)),
        };
    }
    if map.get("patternProperties").and_then(Json::as_object).is_some_and(|patterns| !patterns.is_empty()) {
        return Look::Open;
    }
    match map.get("additionalProperties") {
        Some(Json::Bool(false)) => Look::Not(Why::Closed(listed(properties))),
        Some(schema @ Json::Object(_)) => Look::Next(Place::One(schema)),
        // Said aloud that there are others.
        Some(_) => Look::Open,
        None if properties.is_some_and(|properties| !properties.is_empty()) => {
            Look::Not(Why::Unlisted(listed(properties)))
        }
        None => Look::Open,
    }
}

fn listed(properties: Option<&JsonMap>) -> Vec<&str> {
    let may_be = properties.into_iter().flatten().filter(|(_, schema)| **schema != Json::Bool(false));
    may_be.map(|(name, _)| name.as_str()).collect()
}

/// The schema of an item, if one is said.
fn item(map: &JsonMap, index: usize) -> Option<&Json> {
    let prefix = map.get("prefixItems").and_then(Json::as_array);
    match prefix.and_then(|prefix| prefix.get(index)) {
        Some(schema) => Some(schema),
        None => map.get("items").filter(|items| items.is_object()),
    }
}

/// All of them hold: what one denies is denied, what one lists is listed.
fn all(looks: Vec<Look<'_>>) -> Look<'_> {
    let mut next = Vec::new();
    let mut unlisted: Option<Vec<&str>> = None;
    for look in looks {
        match look {
            Look::Next(place) => next.push(place),
            Look::Open => {}
            Look::Not(Why::Unlisted(names)) => merge(unlisted.get_or_insert_default(), names),
            Look::Not(why) => return Look::Not(why),
        }
    }
    match (next.len(), unlisted) {
        (0, Some(names)) => Look::Not(Why::Unlisted(names)),
        (0, None) => Look::Open,
        (1, _) => Look::Next(next.swap_remove(0)),
        _ => Look::Next(Place::All(next)),
    }
}

/// One of them holds: what one allows is allowed.
fn any(looks: Vec<Look<'_>>) -> Look<'_> {
    let mut next = Vec::new();
    let (mut closed, mut unlisted, mut plain) = (None::<Vec<&str>>, None::<Vec<&str>>, Vec::new());
    let mut is_open = false;
    for look in looks {
        match look {
            Look::Next(place) => next.push(place),
            Look::Open => is_open = true,
            Look::Not(Why::Closed(names)) => merge(closed.get_or_insert_default(), names),
            Look::Not(Why::Unlisted(names)) => merge(unlisted.get_or_insert_default(), names),
            Look::Not(Why::Plain(types)) => merge(&mut plain, types),
        }
    }
    if !next.is_empty() {
        // Those that only leave room for it leave room for anything.
        next.extend((is_open || unlisted.is_some()).then_some(Place::One(&ANYTHING)));
        return Look::Next(Place::Any(next));
    }
    if is_open {
        return Look::Open;
    }
    match (unlisted, closed) {
        (Some(mut names), closed) => {
            merge(&mut names, closed.unwrap_or_default());
            Look::Not(Why::Unlisted(names))
        }
        (None, Some(names)) => Look::Not(Why::Closed(names)),
        (None, None) => Look::Not(Why::Plain(plain)),
    }
}

fn merge<'s>(into: &mut Vec<&'s str>, names: Vec<&'s str>) {
    for name in names {
        if !into.contains(&name) {
            into.push(name);
        }
    }
}

/// The types that a schema names itself.
fn listed_types(schema: &Json) -> Option<Vec<&str>> {
    match schema.get("type")? {
        Json::String(one) => Some(vec![one]),
        Json::Array(several) => Some(several.iter().filter_map(Json::as_str).collect()),
        _ => None,
    }
}

fn types_of<'s>(root: &'s Json, place: &Place<'s>, left: &mut usize, depth: usize) -> Option<Vec<&'s str>> {
    if *left == 0 || depth > PLUGIN_SCHEMA_DEPTH {
        return None;
    }
    *left -= 1;
    match place {
        Place::One(schema) => match listed_types(schema) {
            Some(types) => Some(types),
            None => {
                let to = schema.get("$ref")?.as_str()?.strip_prefix('#')?;
                types_of(root, &Place::One(root.pointer(to)?), left, depth + 1)
            }
        },
        Place::All(places) => places.iter().find_map(|place| types_of(root, place, left, depth + 1)),
        Place::Any(places) => {
            let mut all = Vec::new();
            for place in places {
                merge(&mut all, types_of(root, place, left, depth + 1)?);
            }
            Some(all)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn asked(schema: &Json, path: &str) -> String {
        let parts = path.split('.').filter(|part| !part.is_empty());
        let path: Vec<_> = parts
            .map(|part| match (part, part.parse()) {
                (_, Ok(index)) => Access::Index(index),
                ("*", _) => Access::Some,
                _ => Access::Name(part),
            })
            .collect();
        match follow(schema, &path) {
            Ok(()) => String::new(),
            Err(Nowhere { index, why: Why::Closed(names) }) => format!("{index} closed {}", names.join(",")),
            Err(Nowhere { index, why: Why::Unlisted(names) }) => format!("{index} unlisted {}", names.join(",")),
            Err(Nowhere { index, why: Why::Plain(types) }) => format!("{index} plain {}", types.join(",")),
        }
    }

    #[test]
    fn names_lead_somewhere_or_not() {
        let schema = json!({
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "score": {"type": "integer"},
                "name": {"type": ["string", "null"]},
                "open": {"type": "object", "properties": {"a": {}}},
                "said": {"type": "object", "properties": {"a": {}}, "additionalProperties": true},
                "free": {"type": "object"},
                "any": {},
                "never": false,
                "rows": {"type": "array", "items": {"$ref": "#/$defs/row"}},
                "pair": {"type": "array", "prefixItems": [{"type": "string"}, {"$ref": "#/$defs/row"}]},
                "by_name": {"type": "object", "additionalProperties": {"$ref": "#/$defs/row"}},
                "by_pattern": {"type": "object", "patternProperties": {"^x": {}}, "additionalProperties": false},
                "x_row": {"type": "object", "additionalProperties": false,
                    "patternProperties": {"^x": {"$ref": "#/$defs/row"}, "^y": false}},
                "row_and_any": {"type": "object", "additionalProperties": {"$ref": "#/$defs/row"}, "properties": {"a": true}},
                "row_and_pattern": {"type": "object", "additionalProperties": {"$ref": "#/$defs/row"},
                    "patternProperties": {"^t": {"type": "object"}}},
                "either": {"oneOf": [{"$ref": "#/$defs/row"}, {"type": "null"},
                    {"type": "object", "properties": {"b": {}}, "additionalProperties": false}]},
                "both": {"allOf": [{"properties": {"x": {"type": "string"}}}, {"properties": {"y": {}}}]},
                "when": {"properties": {"k": {}}, "if": {}, "then": {"properties": {"t": {}}}, "else": {"properties": {"e": {}}}},
            },
            "$defs": {"row": {"type": "object", "properties": {"id": {"type": "string"}}, "additionalProperties": false}},
        });
        let all = "score,name,open,said,free,any,rows,pair,by_name,by_pattern,x_row,row_and_any,row_and_pattern,either,both,when";
        let not_there = format!("0 closed {all}");
        for (path, expected) in [
            ("", ""),
            ("score", ""),
            ("scoer", &not_there),
            ("never", &not_there),
            ("score.x", "1 plain integer"),
            ("score.0", "1 plain integer"),
            ("name.x", "1 plain string,null"),
            ("name.0", ""),
            ("open.a.b", ""),
            ("open.b", "1 unlisted a"),
            ("said.b.c", ""),
            ("free.x.y", ""),
            ("any.x.0.y", ""),
            ("rows.x", "1 plain array"),
            ("rows.0.id", ""),
            ("rows.0.idd", "2 closed id"),
            ("rows.*.id", ""),
            ("rows.*.idd", "2 closed id"),
            ("rows.0.id.x", "3 plain string"),
            ("pair.0.x", "2 plain string"),
            ("pair.1.x", "2 closed id"),
            ("pair.7.x", ""),
            ("by_name.anybody.id", ""),
            ("by_name.anybody.x", "2 closed id"),
            ("by_name.*.x", "2 closed id"),
            ("by_pattern.y", ""),
            ("by_pattern.*.y", ""),
            ("x_row.*.id", ""),
            ("x_row.*.idd", "2 closed id"),
            ("row_and_any.*.idd", ""),
            ("row_and_any.other.idd", "2 closed id"),
            ("row_and_pattern.*.idd", ""),
            ("either.id", ""),
            ("either.b.c", ""),
            ("either.c", "1 closed id,b"),
            ("both.x", ""),
            ("both.x.z", "2 plain string"),
            ("both.z", "1 unlisted x,y"),
            ("when.t", ""),
            ("when.k", ""),
            ("when.z", "1 unlisted k,t,e"),
        ] {
            assert_eq!(asked(&schema, path), *expected, "{path}");
        }
    }

    #[test]
    fn types() {
        let schema = json!({"properties": {"a": {"$ref": "#/$defs/n"}, "b": {"anyOf": [{"type": "null"}, {}]}},
            "$defs": {"n": {"type": ["integer", "null"]}}});
        assert_eq!(super::types(&schema, &[Access::Name("a")]), Some(vec!["integer", "null"]));
        assert_eq!(super::types(&schema, &[Access::Name("b")]), None);
        assert_eq!(super::types(&schema, &[Access::Name("c")]), None);
    }

    #[test]
    fn what_goes_in_circles_ends() {
        let schema = json!({"$ref": "#", "anyOf": [{"$ref": "#"}, {"$ref": "#"}], "allOf": [{"$ref": "#"}]});
        assert_eq!(follow(&schema, &[Access::Name("a"), Access::Name("b")]), Ok(()));
    }
}
