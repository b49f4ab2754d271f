//! How the files of other clients spell references, each in its own way.

/// Which references a client replaces in its file.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "clients have any of these spellings, in any combination")]
pub(crate) struct Spelling {
    /// Whose it is, at the start of a sentence.
    pub(crate) whose: &'static str,
    /// Whether `${NAME}` is one.
    pub(crate) braces: bool,
    /// What stands between a name and its default in braces, if there can be a default.
    pub(crate) default: Option<&'static str>,
    /// Where `$NAME` is one.
    pub(crate) bare: Bare,
    /// Whether `${env:NAME}`, `${input:ID}`, `${file:PATH}` and the folders of editors are some, and `$${` stands for `${`.
    pub(crate) editor: bool,
    /// Whether `{env:NAME}` and `{file:PATH}` are some.
    pub(crate) curly: bool,
    /// Whether `${{ secrets.NAME }}` is one.
    pub(crate) secrets: bool,
    /// Whether a variable that is not set counts as an empty one.
    pub(crate) unset_is_empty: bool,
    /// Whether `$(COMMAND)` stands for what a command says.
    pub(crate) commands: bool,
    /// Which spelling is advised of those that are read.
    pub(crate) advice: Advice,
}

/// Which spelling is advised. More is read in a file than its client may know, but no more is advised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Advice {
    /// `${NAME}`.
    Braces,
    /// `${env:NAME}`.
    Env,
    /// `{env:NAME}`.
    Curly,
    /// `${{ secrets.NAME }}`.
    Secrets,
    /// None: the client replaces nothing.
    Nothing,
}

/// What looks like a reference at the start of a text, whether or not it is one to the file's client.
pub(crate) enum Reference<'t> {
    /// `$${`, which stands for `${`.
    Escaped,
    /// `${…}`, and what is in it.
    Braces(&'t str),
    /// `$NAME`.
    Bare(&'t str),
    /// `{env:NAME}`.
    Curly(&'t str),
    /// `{file:PATH}`.
    File(&'t str),
    /// `${{ … }}`, and what is in it.
    Double(&'t str),
    /// `$(`.
    Command,
}

/// Where `$NAME` stands for a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bare {
    Never,
    /// Where it is the whole text, and in capitals.
    Alone,
    /// Anywhere.
    Within,
}

/// Nothing is replaced.
const NOTHING: Spelling = Spelling {
    whose: "this client",
    braces: false,
    default: None,
    bare: Bare::Never,
    editor: false,
    curly: false,
    secrets: false,
    unset_is_empty: false,
    commands: false,
    advice: Advice::Nothing,
};

/// Of a file that may be anybody's: whatever is spelled so by one of them. Most of them know `${NAME}`.
pub(crate) const ANY: Spelling = Spelling {
    braces: true,
    default: Some(":-"),
    bare: Bare::Alone,
    editor: true,
    advice: Advice::Braces,
    ..NOTHING
};
/// Of editors.
pub(crate) const EDITOR: Spelling =
    Spelling { whose: "the editor", default: None, advice: Advice::Env, ..ANY };
pub(crate) const CLAUDE_DESKTOP: Spelling =
    Spelling { whose: "Claude Desktop", advice: Advice::Nothing, ..ANY };
pub(crate) const CLAUDE_CODE: Spelling =
    Spelling { whose: "Claude Code", braces: true, default: Some(":-"), advice: Advice::Braces, ..NOTHING };
pub(crate) const GEMINI: Spelling = Spelling { whose: "Gemini CLI", bare: Bare::Within, ..CLAUDE_CODE };
pub(crate) const COPILOT: Spelling = Spelling { whose: "Copilot CLI", ..GEMINI };
pub(crate) const QODER: Spelling = Spelling { whose: "Qoder", ..GEMINI };
pub(crate) const QWEN: Spelling = Spelling { whose: "Qwen Code", default: None, ..GEMINI };
pub(crate) const OPENCODE: Spelling =
    Spelling { whose: "OpenCode", curly: true, unset_is_empty: true, advice: Advice::Curly, ..NOTHING };
pub(crate) const CONTINUE: Spelling =
    Spelling { whose: "Continue", secrets: true, advice: Advice::Secrets, ..NOTHING };
pub(crate) const FAST_AGENT: Spelling = Spelling { whose: "fast-agent", default: Some(":"), ..CLAUDE_CODE };
pub(crate) const CODEX: Spelling = Spelling { whose: "Codex", ..NOTHING };
pub(crate) const CLINE: Spelling = Spelling { whose: "Cline", ..NOTHING };
pub(crate) const VIBE: Spelling = Spelling { whose: "Mistral Vibe", ..NOTHING };
/// Beside `$NAME` and `${NAME}`, it runs `$(COMMAND)`, which Portolan does not.
pub(crate) const CRUSH: Spelling = Spelling { whose: "Crush", commands: true, ..GEMINI };
pub(crate) const GOOSE: Spelling = Spelling { whose: "Goose", default: None, ..GEMINI };

impl Spelling {
    /// How a text of this file refers to a variable, if it can.
    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        match self.advice {
            Advice::Braces => Some(format!("${{{name}}}")),
            Advice::Env => Some(format!("${{env:{name}}}")),
            Advice::Curly => Some(format!("{{env:{name}}}")),
            Advice::Secrets => Some(format!("${{{{ secrets.{name} }}}}")),
            Advice::Nothing => None,
        }
    }

    /// How it refers to one that need not be set, if it can.
    pub(crate) fn with_default(&self, name: &str) -> Option<String> {
        let between = self.default.filter(|_| self.advice == Advice::Braces)?;
        Some(format!("${{{name}{between}default}}"))
    }

    /// How it refers to the content of a file, if it can.
    pub(crate) fn file(&self) -> Option<&'static str> {
        self.curly.then_some("{file:PATH}")
    }

    /// The reference that a text begins with, and its length. `whole` says that nothing stands before it.
    pub(crate) fn find<'t>(&self, text: &'t str, whole: bool) -> Option<(Reference<'t>, usize)> {
        let between = |start: &str, end: &str| {
            let inside = text.strip_prefix(start)?;
            let inside = inside.get(..inside.find(end)?)?;
            Some((inside, start.len() + inside.len() + end.len()))
        };
        if self.curly {
            let env = between("{env:", "}").map(|(name, length)| (Reference::Curly(name), length));
            let found = env.or_else(|| between("{file:", "}").map(|(path, n)| (Reference::File(path), n)));
            if found.is_some() {
                return found;
            }
        }
        if self.editor && text.starts_with("$${") {
            return Some((Reference::Escaped, 3));
        }
        if self.secrets && text.starts_with("${{") {
            return between("${{", "}}").map(|(inside, length)| (Reference::Double(inside.trim()), length));
        }
        if text.starts_with("${") {
            return between("${", "}").map(|(inside, length)| (Reference::Braces(inside), length));
        }
        if self.commands && text.starts_with("$(") {
            return Some((Reference::Command, 2));
        }
        let name = text.strip_prefix('$')?;
        let end = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(name.len());
        let name = name.get(..end).filter(|name| !name.starts_with(|c: char| c.is_ascii_digit()))?;
        let is_one = match self.bare {
            Bare::Never => false,
            Bare::Alone => whole && name.len() + 1 == text.len() && is_shouted(name),
            Bare::Within => !name.is_empty(),
        };
        is_one.then_some((Reference::Bare(name), name.len() + 1))
    }
}

/// What is hardly meant as it stands: `$GITHUB_TOKEN`.
pub(crate) fn is_shouted(name: &str) -> bool {
    name.len() > 1
        && name.starts_with(|c: char| c.is_ascii_uppercase() || c == '_')
        && !name.contains(|c: char| c.is_ascii_lowercase())
}
