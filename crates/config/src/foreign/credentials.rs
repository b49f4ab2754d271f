//! How clients give credentials to servers, where that is not by `headers` alone.

use super::server::Server;
use crate::node::{At, Member, Node, Span};
use crate::read::{Entries, Entry};
use crate::template::Template;

impl Server<'_, '_, '_> {
    /// Reads a member that holds a credential, or says where it is; whether it is one.
    pub(super) fn credential(&mut self, key: &str, member: &Member) -> bool {
        let node = &member.value;
        match key {
            "bearer_token_env_var" => self.bearer(member),
            "bearer_token" => {
                self.findings
                    .error(member.key.span, "Codex refuses a token that stands in its file")
                    .help("bearer_token_env_var = \"NAME\" says which environment variable holds it");
            }
            "env_http_headers" => self.headers_of_variables(member),
            "auth" if node.member("api_key_env").is_some() || node.member("headers").is_some() => {
                for part in node.members().unwrap_or_default() {
                    match part.key.value.as_str() {
                        "api_key_env" => self.bearer(part),
                        "headers" => {
                            self.note("headers", part);
                            let headers = self.table(&part.value);
                            headers
                                .into_iter()
                                .flat_map(|all| all.value.0)
                                .for_each(|one| self.add_header(one));
                        }
                        _ => {}
                    }
                }
            }
            "api_key_env" => self.bearer(member),
            _ => return false,
        }
        true
    }

    /// A token in a variable.
    fn bearer(&mut self, member: &Member) {
        let Some(variable) = self.variable(&member.value) else { return };
        self.note("headers", member);
        let value = Template::of_variable("Bearer ", &variable.value, variable.span);
        self.header("Authorization", member.key.span, value);
    }

    /// Name of a header → name of the variable that holds its value.
    fn headers_of_variables(&mut self, member: &Member) {
        let Some(members) = member.value.members() else {
            return self.wrong_kind(&member.value, "names of headers and of variables");
        };
        self.note("headers", member);
        for header in members {
            let Some(variable) = self.variable(&header.value) else { continue };
            let value = Template::of_variable("", &variable.value, variable.span);
            self.header(&header.key.value, header.key.span, value);
        }
    }

    fn variable(&mut self, node: &Node) -> Option<At<String>> {
        let Some(text) = node.text() else {
            self.wrong_kind(node, "the name of an environment variable");
            return None;
        };
        Some(At { value: text.to_owned(), span: node.span })
    }

    fn header(&mut self, name: &str, span: Span, value: Template) {
        let name = At { value: name.to_owned(), span };
        self.add_header(Entry { name, value: Some(At { value, span }) });
    }

    pub(super) fn add_header(&mut self, entry: Entry<Template>) {
        let span = entry.name.span;
        let headers = self.upstream.headers.get_or_insert_with(|| At { value: Entries::default(), span });
        headers.value.0.push(entry);
    }
}
