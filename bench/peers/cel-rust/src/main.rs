//! The crate `cel` evaluates the cases of streamer-bench --cases: each expression is compiled once
//! and evaluated over the document as the crate's own values.
//!
//! Each line of stdin is {"name","members","expression","document"}, each of stdout
//! {"name","members","ns"}: the least of ROUNDS.

use std::io::{self, BufRead};
use std::time::{Duration, Instant};

use cel::{Context, Program, Value};
use serde_json::json;

const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_millis(50);
const FIRST_COUNT: usize = 1000;

fn native(value: &serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(boolean) => Value::Bool(*boolean),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(whole) => Value::Int(whole),
            None => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        serde_json::Value::String(text) => Value::from(text.as_str()),
        serde_json::Value::Array(items) => Value::from(items.iter().map(native).collect::<Vec<_>>()),
        serde_json::Value::Object(members) => Value::from(
            members
                .iter()
                .map(|(name, member)| (name.clone(), native(member)))
                .collect::<std::collections::HashMap<String, Value>>(),
        ),
    }
}

fn measure(program: &Program, context: &Context) -> Result<f64, String> {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let mut count = 0;
        let start = Instant::now();
        while start.elapsed() < ROUND {
            for _ in 0..FIRST_COUNT {
                match program.execute(context) {
                    Ok(Value::Bool(true)) => {}
                    other => return Err(format!("the result is {other:?}, not true")),
                }
            }
            count += FIRST_COUNT;
        }
        best = best.min(start.elapsed().as_nanos() as f64 / count as f64);
    }
    Ok(best)
}

fn run(line: &str) -> Result<(), String> {
    let case: serde_json::Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let expression = case["expression"].as_str().unwrap_or_default();
    let program = Program::compile(expression).map_err(|error| format!("{error:?}"))?;
    let mut context = Context::default();
    context.add_variable_from_value("doc", native(&case["document"]));
    let ns = measure(&program, &context)?;
    println!("{}", json!({"name": case["name"], "members": case["members"], "ns": ns}));
    Ok(())
}

fn main() {
    for line in io::stdin().lock().lines() {
        let line = line.expect("stdin is UTF-8");
        if let Err(error) = run(&line) {
            let start: String = error.chars().take(200).collect();
            eprintln!("cel-rust: {start}");
        }
    }
}
