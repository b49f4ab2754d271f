//! Tools whose input schemas are the point.

use crate::tool::{Content, Stop, Tool};

pub(super) const TOOLS: &[Tool] = &[
    Tool::new("json_schema_2020_12_tool", "Has an input schema of many keywords of JSON Schema 2020-12", |live| {
        Box::pin(async move { Ok(Content::text(live.call.arguments().unwrap_or("{}"))) })
    })
    .takes(WIDE),
    Tool::new(
        "region",
        "Has arguments that modern HTTP clients repeat in Mcp-Param-Region and Mcp-Param-Priority",
        |live| {
            Box::pin(async move {
                let Some(region) = live.argument("region")? else {
                    return Err(Stop::Failed("argument \"region\" is required".to_owned()));
                };
                let priority = live.argument("priority")?.unwrap_or("null");
                Ok(Content::structured(format!(r#"{{"region":{region},"priority":{priority}}}"#)))
            })
        },
    )
    .takes(
        r#"{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"},"priority":{"type":"integer","x-mcp-header":"Priority"},"note":{"type":"string"}},"required":["region"]}"#,
    )
    .gives(
        r#"{"type":"object","properties":{"region":{"type":"string"},"priority":{"type":["integer","null"]}},"required":["region","priority"]}"#,
    ),
];

/// Word for word the suite's contract: it looks for each of these keywords in the list.
const WIDE: &str = concat!(
    r#"{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","#,
    r#""$defs":{"address":{"$anchor":"addressDef","type":"object","properties":{"street":{"type":"string"},"city":{"type":"string"}}}},"#,
    r##""properties":{"name":{"type":"string"},"address":{"$ref":"#/$defs/address"},"contactMethod":{"type":"string","enum":["phone","email"]},"phone":{"type":"string"},"email":{"type":"string"}},"##,
    r#""allOf":[{"anyOf":[{"required":["phone"]},{"required":["email"]}]}],"#,
    r#""if":{"properties":{"contactMethod":{"const":"phone"}},"required":["contactMethod"]},"#,
    r#""then":{"required":["phone"]},"else":{"required":["email"]},"additionalProperties":false}"#
);
