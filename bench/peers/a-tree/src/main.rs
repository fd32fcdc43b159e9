//! The crate `a-tree` matches events against expressions. RULES EVENTS MATCHES SECONDS ATTRIBUTES
//! are the arguments, see tools/bench-peers-match: a line of ATTRIBUTES is a kind, the attribute's
//! name, and where it is in an event, as a JSON pointer. Times are the processor's, which are the
//! elapsed ones of a machine that does nothing else.

use std::error::Error;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::time::Duration;

use a_tree::{ATree, AttributeDefinition};
use cpu_time::ThreadTime;
use serde_json::{json, Value};

const SLICE: Duration = Duration::from_millis(50);
const DECIMALS: u32 = 12; // of a real, as the workloads write them

type Failure = Box<dyn Error>;

struct Attribute {
    kind: String,
    name: String,
    pointer: String,
}

struct Matcher {
    tree: ATree<usize>,
    attributes: Vec<Attribute>,
}

fn text_of(error: impl std::fmt::Debug) -> Failure {
    format!("{error:?}").into()
}

fn define(attribute: &Attribute) -> Result<AttributeDefinition, Failure> {
    let name = &attribute.name;
    match attribute.kind.as_str() {
        "boolean" => Ok(AttributeDefinition::boolean(name)),
        "integer" => Ok(AttributeDefinition::integer(name)),
        "float" => Ok(AttributeDefinition::float(name)),
        "string" => Ok(AttributeDefinition::string(name)),
        "string_list" => Ok(AttributeDefinition::string_list(name)),
        kind => Err(format!("{name} is of an unknown kind, {kind}").into()),
    }
}

impl Matcher {
    /// A member that is missing or of another kind is left undefined.
    fn matches(&self, document: &[u8]) -> Result<Vec<usize>, Failure> {
        let document: Value = serde_json::from_slice(document)?;
        let mut builder = self.tree.make_event();
        for attribute in &self.attributes {
            let name = &attribute.name;
            let done = match (
                attribute.kind.as_str(),
                document.pointer(&attribute.pointer),
            ) {
                ("boolean", Some(Value::Bool(truth))) => builder.with_boolean(name, *truth),
                ("integer", Some(Value::Number(number))) => match number.as_i64() {
                    Some(whole) => builder.with_integer(name, whole),
                    None => Ok(()),
                },
                ("float", Some(Value::Number(number))) => {
                    let real = number.as_f64().unwrap_or_default();
                    let scaled = (real * 10f64.powi(DECIMALS as i32)).round();
                    builder.with_float(name, scaled as i64, DECIMALS)
                }
                ("string", Some(Value::String(text))) => builder.with_string(name, text),
                ("string_list", Some(Value::Array(items))) => {
                    let texts: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
                    builder.with_string_list(name, &texts)
                }
                _ => Ok(()),
            };
            done.map_err(text_of)?;
        }
        let event = builder.build().map_err(text_of)?;
        let report = self.tree.search(&event).map_err(text_of)?;
        Ok(report.matches().iter().map(|number| **number).collect())
    }

    /// The most events a second of the slices that the time is cut into.
    fn measure(&self, events: &[(&str, &str)], limit: Duration) -> Result<f64, Failure> {
        let mut best: f64 = 0.0;
        let mut next = 0;
        let begin = ThreadTime::now();
        while next == 0 || begin.elapsed() < limit {
            let first = next;
            let start = ThreadTime::now();
            while next == first || start.elapsed() < SLICE {
                self.matches(events[next % events.len()].1.as_bytes())?;
                next += 1;
            }
            best = best.max((next - first) as f64 / start.elapsed().as_secs_f64());
        }
        Ok(best)
    }
}

fn load(rules: &[(&str, &str)], attributes: &str) -> Result<Matcher, Failure> {
    let mut listed = Vec::new();
    for line in attributes.lines() {
        let mut parts = line.split('\t').map(str::to_owned);
        match (parts.next(), parts.next(), parts.next()) {
            (Some(kind), Some(name), Some(pointer)) => listed.push(Attribute {
                kind,
                name,
                pointer,
            }),
            _ => return Err(format!("not an attribute: {line}").into()),
        }
    }
    let definitions = listed.iter().map(define).collect::<Result<Vec<_>, _>>()?;
    let mut tree = ATree::new(&definitions).map_err(text_of)?;
    for (number, (_, expression)) in rules.iter().enumerate() {
        tree.insert(&number, expression).map_err(text_of)?;
    }
    Ok(Matcher {
        tree,
        attributes: listed,
    })
}

/// A name, a tab, and the rest.
fn lines_of(text: &str) -> Vec<(&str, &str)> {
    text.lines()
        .filter_map(|line| line.split_once('\t'))
        .collect()
}

fn run(arguments: &[String]) -> Result<(), Failure> {
    let [rules, events, matches, seconds, attributes] = arguments else {
        return Err("expected RULES EVENTS MATCHES SECONDS ATTRIBUTES".into());
    };
    let limit = Duration::from_secs_f64(seconds.parse()?);
    let (rules, events) = (fs::read_to_string(rules)?, fs::read_to_string(events)?);
    let (rules, events) = (lines_of(&rules), lines_of(&events));
    let start = ThreadTime::now();
    let matcher = load(&rules, &fs::read_to_string(attributes)?)?;
    let load_s = start.elapsed().as_secs_f64();
    let mut out = BufWriter::new(File::create(matches)?);
    let mut seen = 0;
    let start = ThreadTime::now();
    while seen < events.len() && (seen == 0 || start.elapsed() < limit) {
        for number in matcher.matches(events[seen].1.as_bytes())? {
            writeln!(out, "{}\t{}", events[seen].0, rules[number].0)?;
        }
        seen += 1;
    }
    out.flush()?;
    let best = matcher.measure(&events[..seen], limit)?;
    println!(
        "{}",
        json!({"events": seen, "events_per_s": best, "load_s": load_s})
    );
    Ok(())
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Err(error) = run(&arguments) {
        eprintln!("{error}");
        std::process::exit(1);
    }
}
