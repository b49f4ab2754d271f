//! What a tool takes, by its `inputSchema`. Servers take `"1_000"` for an integer, and policies do not: what a policy reads must be
//! what the server will read, so arguments that the schema does not take are refused first.

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

/// The longest schema that is used.
const LONGEST: usize = 256 * 1024;

/// A schema, ready to be used.
pub(crate) struct Shape(Validator);

impl Shape {
    /// Reads a schema. What is outside of it is not fetched.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        if text.len() > LONGEST {
            return Err(format!("it is longer than {LONGEST} bytes"));
        }
        let schema: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        // MCP 2026-07-28 `basic` §JSON Schema Usage: 2020-12, unless the schema says otherwise; so it is here. Patterns are matched in
        // linear time.
        let options = jsonschema::options().with_pattern_options(PatternOptions::regex());
        options.build(&schema).map(Self).map_err(|error| error.to_string())
    }

    /// Whether it takes these arguments.
    ///
    /// # Errors
    /// What is wrong with them, without their values.
    pub(crate) fn check(&self, arguments: &str) -> Result<(), String> {
        let value: Value = serde_json::from_str(arguments).map_err(|error| error.to_string())?;
        self.0.validate(&value).map_err(|error| {
            let place = error.instance_path().to_string();
            let rule = error.schema_path().to_string();
            let place = if place.is_empty() { "the arguments".to_owned() } else { place };
            format!("{place} is against {rule} of the tool's inputSchema")
        })
    }
}

impl std::fmt::Debug for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Shape").finish()
    }
}
