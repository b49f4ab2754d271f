//! A legacy server over stdio that says what a test wants: results as written, to the byte.

use std::path::Path;

/// Writes the server: its capabilities, and for each text of a request (`"tools/list"`, `"name":"a"`) the result that it gets,
/// the first that fits; nothing where that is empty. What fits nothing gets an error. Gives its command.
pub(crate) fn server(dir: &Path, capabilities: &str, results: &[(&str, &str)]) -> String {
    let hello = format!(
        r#"{{"protocolVersion":"2025-06-18","capabilities":{capabilities},"serverInfo":{{"name":"x","version":"1"}}}}"#
    );
    let mut cases = String::new();
    for (asked, result) in [(r#""initialize""#, hello.as_str())].iter().chain(results) {
        if result.is_empty() {
            cases.push_str(&format!("*'{asked}'*) ;;\n"));
            continue;
        }
        // In single quotes a shell changes nothing; printf writes what `%s` is given.
        let result = result.replace('\'', r"'\''");
        cases.push_str(&format!(
            "*'{asked}'*) printf '{{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":%s}}\\n' \"$id\" '{result}';;\n"
        ));
    }
    let script = format!(
        r#"while read -r line; do
id=$(printf '%s' "$line" | sed 's/.*"id":\([^,]*\),.*/\1/')
case "$line" in
*'"method":"notifications'*) ;;
{cases}*) printf '{{"jsonrpc":"2.0","id":%s,"error":{{"code":-32601,"message":"no"}}}}\n' "$id";;
esac
done
"#
    );
    let path = dir.join("server.sh");
    std::fs::write(&path, script).unwrap();
    format!("sh {}", path.display())
}
