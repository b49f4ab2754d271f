//! What would be right, in the language of the file: a hint for one program's file may break another's.

use super::{Lowering, Theirs};
use crate::syntax::Syntax;

impl Lowering<'_, '_> {
    /// Where a secret is to be put that stands in the file after `before`, and how the file then refers to it.
    pub(super) fn place_of_secret(&self, environment: &str, before: &str, name: &str) -> String {
        let own = Some((format!("${{env:{name}}}"), Some("${file:PATH}")));
        let theirs = |theirs: Theirs| Some((theirs.spelling.variable(name)?, theirs.spelling.file()));
        match self.theirs.map_or(own, theirs) {
            Some((variable, Some(file))) => {
                format!("put it into {environment}, or a file: \"{before}{variable}\", \"{before}{file}\"")
            }
            Some((variable, None)) => format!("put it into {environment}: \"{before}{variable}\""),
            None => {
                let whose = self.theirs.map_or("this client", |theirs| theirs.spelling.whose);
                format!(
                    "{whose} replaces nothing in its file; `portolan convert` makes one of Portolan's own, where \
                     \"{before}${{env:{name}}}\" stands for a variable"
                )
            }
        }
    }

    /// How to refer to a variable, if the file can.
    fn variable(&self, name: &str) -> Option<String> {
        match self.theirs {
            None => Some(format!("${{env:{name}}}")),
            Some(theirs) => theirs.spelling.variable(name),
        }
    }

    /// Instead of `~`.
    pub(super) fn home(&self) -> String {
        match self.variable("HOME") {
            Some(home) => format!("~ is not replaced here; write {home}"),
            None => "~ is not replaced here; write the whole path".to_owned(),
        }
    }

    /// Instead of a secret among the arguments.
    pub(super) fn secret_argument(&self) -> String {
        let most = "most programs also take it from an environment variable";
        let Some(variable) = self.variable("NAME") else {
            return match self.theirs.map(|theirs| theirs.syntax) {
                Some(Syntax::Toml) => format!("{most}: env_vars = [\"NAME\"]"),
                _ => most.to_owned(),
            };
        };
        let env = self.table("env", "NAME", &variable);
        format!("{most}: {env}")
    }

    /// Instead of a user and a password in a URL.
    pub(super) fn user_of_url(&self) -> String {
        match self.variable("NAME") {
            Some(variable) => {
                format!("write {}", self.table("headers", "Authorization", &format!("Basic {variable}")))
            }
            None => "a header is the place for them: Authorization, with Basic".to_owned(),
        }
    }

    /// Instead of a secret in the query of a URL.
    pub(super) fn secret_of_query(&self) -> String {
        let file = self.theirs.map_or(Some("${file:PATH}"), |theirs| theirs.spelling.file());
        match (self.variable("NAME"), file) {
            (Some(variable), Some(file)) => {
                format!("write {variable} or {file} for it, or send it in a header")
            }
            (Some(variable), None) => format!("write {variable} for it, or send it in a header"),
            (None, _) => "send it in a header".to_owned(),
        }
    }

    /// A table with one entry.
    fn table(&self, table: &str, name: &str, value: &str) -> String {
        match self.theirs {
            None => format!("{table} = {{ {name} = \"{value}\" }}"),
            Some(Theirs { syntax: Syntax::Toml, .. }) => format!("{table} = {{ {name} = \"{value}\" }}"),
            Some(Theirs { syntax: Syntax::Yaml, .. }) => format!("{table}: {{ {name}: \"{value}\" }}"),
            Some(Theirs { lists: true, .. }) if table == "env" => {
                format!("\"environment\": {{ \"{name}\": \"{value}\" }}")
            }
            Some(_) => format!("\"{table}\": {{ \"{name}\": \"{value}\" }}"),
        }
    }

    /// A program and its arguments.
    pub(super) fn command(&self, program: &str, args: &[&str]) -> String {
        let quoted =
            |words: &[&str]| words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(", ");
        let all: Vec<&str> = std::iter::once(program).chain(args.iter().copied()).collect();
        match self.theirs {
            None => format!("command = [{}]", quoted(&all)),
            Some(Theirs { lists: true, .. }) => format!("\"command\": [{}]", quoted(&all)),
            Some(Theirs { syntax: Syntax::Json, .. }) => {
                format!("\"command\": {program:?}, \"args\": [{}]", quoted(args))
            }
            Some(Theirs { syntax: Syntax::Toml, .. }) => {
                format!("command = {program:?}, and args = [{}]", quoted(args))
            }
            Some(Theirs { syntax: Syntax::Yaml, .. }) => {
                format!("the program {program:?}, and the arguments [{}]", quoted(args))
            }
        }
    }

    /// What a server lacks that has neither a URL nor a command.
    pub(super) fn way_to_reach(&self) -> &'static str {
        match self.theirs.map(|theirs| theirs.syntax) {
            Some(Syntax::Json) => "give it a \"url\", or a \"command\" and \"args\"",
            Some(Syntax::Toml) => {
                "url = \"https://mcp.example.com/mcp\", or command = \"program\" and args = [\"argument\"]"
            }
            Some(Syntax::Yaml) => "give it a URL, or a command and arguments",
            None => "url = \"https://mcp.example.com/mcp\", or command = [\"program\", \"argument\"]",
        }
    }
}
